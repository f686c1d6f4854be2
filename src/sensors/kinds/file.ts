// Kind `file`: seconds since a file was written, and its size; of a directory those of its newest file and of all files
// directly in it, and their number. Only numbers leave the machine.
import type { Stats } from 'node:fs';
import { lstat, opendir } from 'node:fs/promises';
import { join } from 'node:path';
import type { EpochMs } from '../../kernel/duration.js';
import { file as description, type FileSettings } from '../catalogue/file.js';
import { SensorFault } from '../fault.js';
import type { Measurement, MetricValue, SensorKind } from '../kind.js';
import { critical } from '../network-verdict.js';
import { watchedPath } from '../watched-path.js';

const MAX_FILES = 10_000;

async function filesIn(directory: string, signal: AbortSignal): Promise<Stats[]> {
  const files: Stats[] = [];
  for await (const entry of await opendir(directory)) {
    signal.throwIfAborted();
    if (!entry.isFile()) continue;
    if (files.length === MAX_FILES)
      throw new SensorFault('sensor.unreadable', `there are more than ${MAX_FILES} files`);
    // It may be gone again.
    const stats = await lstat(join(directory, entry.name)).catch(() => undefined);
    if (stats) files.push(stats);
  }
  return files;
}

function fileValues(files: readonly Stats[], now: EpochMs): MetricValue[] {
  const newest = files.reduce((latest, { mtimeMs }) => Math.max(latest, mtimeMs), Number.NEGATIVE_INFINITY);
  const size = files.reduce((sum, stats) => sum + stats.size, 0);
  return [
    // Of nothing there is no age: it is not finite, and left out.
    { name: 'age', unit: 's', value: Math.round((now - newest) / 1_000) },
    { name: 'size', unit: 'By', value: size },
  ].filter(({ value }) => Number.isFinite(value));
}

export const file: SensorKind<FileSettings> = {
  ...description,
  create: ({ path }, { clock, watch }) => ({
    async measure(signal): Promise<Measurement> {
      const real = await watchedPath(path, watch.directories);
      const stats = real === undefined ? undefined : await lstat(real);
      if (real === undefined || stats === undefined) return critical('the file is not there');
      if (stats.isFile()) return { values: fileValues([stats], clock.now()) };
      if (!stats.isDirectory()) throw new SensorFault('sensor.unreadable', `${path} is neither a file nor a directory`);
      const files = await filesIn(real, signal);
      return { values: [...fileValues(files, clock.now()), { name: 'count', unit: '', value: files.length }] };
    },
  }),
};
