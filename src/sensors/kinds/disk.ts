// Kind `disk`: space and inodes in use, of all local file systems or of chosen ones. Metrics are named by mount point:
// `/var/used` (percent, as `df` says it), `/var/free` (for ordinary users), `/var/inodes`; of the root just `/used`.
import { readFileSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { State } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { describe } from '../../kernel/fault.js';
import { type DiskSettings, disk as description } from '../catalogue/disk.js';
import { SensorFault } from '../fault.js';
import type { MetricValue, SensorKind } from '../kind.js';
import { parseMounts, watchedMounts } from '../mounts.js';
import { percent } from '../rounding.js';

interface Space {
  readonly blocks: number;
  readonly bfree: number;
  readonly bavail: number;
  readonly bsize: number;
  readonly files: number;
  readonly ffree: number;
}

export function diskValues(mount: string, space: Space): MetricValue[] {
  const prefix = mount.replace(/[/\\]+$/, '');
  const used = space.blocks - space.bfree;
  const values = [
    // Of what ordinary users could ever have: blocks reserved for root count as neither.
    { name: `${prefix}/used`, unit: '%', value: percent(used, used + space.bavail) },
    { name: `${prefix}/free`, unit: 'By', value: space.bavail * space.bsize },
  ];
  // Some file systems (btrfs, FAT) have no fixed number of inodes.
  if (space.files > 0) {
    values.push({ name: `${prefix}/inodes`, unit: '%', value: percent(space.files - space.ffree, space.files) });
  }
  return values;
}

async function allMounts(platform: NodeJS.Platform): Promise<string[]> {
  if (platform === 'linux') return watchedMounts(parseMounts(readFileSync('/proc/self/mounts', 'latin1')));
  const { fsSize } = await import('systeminformation');
  return (await fsSize()).map((system) => system.mount);
}

/** Chosen directories where nothing is mounted (any more); their numbers would be those of the disk above. */
function missing(chosen: readonly string[], platform: NodeJS.Platform): string[] {
  if (platform !== 'linux') return [];
  const mounted = new Set(parseMounts(readFileSync('/proc/self/mounts', 'latin1')).map((mount) => mount.point));
  return chosen.filter((point) => !mounted.has(point.replace(/\/+$/, '') || '/'));
}

export const disk: SensorKind<DiskSettings> = {
  ...description,
  create: ({ mounts: chosen }, { platform }) => ({
    async measure() {
      const gone = missing(chosen ?? [], platform);
      const mounts = (chosen ?? (await allMounts(platform))).filter((mount) => !gone.includes(mount));
      const values: MetricValue[] = [];
      const problems = gone.map((mount) => `nothing is mounted at ${mount}`);
      // One after the other: a hanging file system blocks one thread of the pool, not all of them.
      for (const mount of mounts) {
        try {
          values.push(...diskValues(mount, await statfs(mount)));
        } catch (thrown) {
          problems.push(`${mount}: ${describe(thrown)}`);
        }
      }
      if (values.length === 0 && problems.length === 0)
        throw new SensorFault('sensor.unreadable', 'no file system found');
      if (problems.length === 0) return { values };
      return { values, state: gone.length > 0 ? State.CRITICAL : State.UNKNOWN, message: problems.join('; ') };
    },
  }),
};
