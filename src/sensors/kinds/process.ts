// Kind `process`: whether a program runs, how often, and what it uses. Processor time is in percent of one core.
import { basename } from 'node:path';
import { type Duration, milliseconds } from '../../kernel/duration.js';
import { process as description, type ProcessSettings } from '../catalogue/process.js';
import type { MetricValue, SensorKind } from '../kind.js';
import { matchAll } from '../matcher.js';
import { listProcesses, type ProcessInfo, residentMemory } from '../processes.js';
import { round } from '../rounding.js';
import { Sampler } from '../sampler.js';

const MAX_KERNEL_NAME = 15;

/** The processes that the settings mean. */
export function select<P extends Pick<ProcessInfo, 'name' | 'command'>>(
  processes: readonly P[],
  by: ProcessSettings,
): P[] {
  if (by.pattern !== undefined) {
    const hits = matchAll(
      by.pattern,
      processes.map((process) => process.command || process.name),
    );
    return processes.filter((_, at) => hits[at]);
  }
  const wanted = by.name ?? '';
  const short = wanted.slice(0, MAX_KERNEL_NAME);
  const program = (command: string) => basename(command.split(' ', 1)[0] ?? '');
  return processes.filter(({ name, command }) => {
    // The kernel keeps 15 characters only; what is longer has to agree with the command line.
    return program(command) === wanted || (name === short && (wanted === short || command === ''));
  });
}

/** Processor time that these processes used in between; those that started since count from their start. */
export function cpuUsed(before: readonly ProcessInfo[], now: readonly ProcessInfo[]): Duration {
  const key = ({ pid, startedAt }: ProcessInfo) => `${pid}/${startedAt}`;
  const known = new Map(before.map((process) => [key(process), process.cpuMs]));
  const used = now.reduce((sum, process) => sum + Math.max(0, process.cpuMs - (known.get(key(process)) ?? 0)), 0);
  return milliseconds(used);
}

const values = (count: number, cpu: number, memory: number): MetricValue[] => [
  { name: 'count', unit: '', value: count },
  { name: 'cpu', unit: '%', value: round(cpu, 1) },
  { name: 'memory', unit: 'By', value: Math.round(memory) },
];

async function measureElsewhere(settings: ProcessSettings): Promise<MetricValue[]> {
  const { processes } = await import('systeminformation');
  const { list } = await processes();
  const chosen = select(list, settings);
  const sum = (of: (process: (typeof chosen)[number]) => number) => chosen.reduce((total, p) => total + of(p), 0);
  return values(
    chosen.length,
    sum((p) => p.cpu),
    sum((p) => p.memRss * 1_024),
  );
}

export const processKind: SensorKind<ProcessSettings> = {
  ...description,
  create(settings, { clock, platform }) {
    const sampler = new Sampler(clock, async (signal) => select(await listProcesses(signal), settings));
    return {
      async measure(signal) {
        if (platform !== 'linux') return { values: await measureElsewhere(settings) };
        const { before, now, elapsed } = await sampler.next(signal);
        const memory = now.reduce((sum, process) => sum + residentMemory(process.pid), 0);
        return { values: values(now.length, (cpuUsed(before, now) / elapsed) * 100, memory) };
      },
    };
  },
};
