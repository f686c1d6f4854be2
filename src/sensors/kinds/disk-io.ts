// Kind `disk-io`: bytes per second, operations per second, share of time busy and mean time of an operation, by disk:
// `sda/read`, `sda/written`, `sda/operations`, `sda/busy`, `sda/wait`. Linux only.
import { readdirSync, readFileSync } from 'node:fs';
import type { Duration } from '../../kernel/duration.js';
import { type DiskIoSettings, diskIo as description } from '../catalogue/disk-io.js';
import { SensorFault, unsupported } from '../fault.js';
import type { MetricValue, SensorKind } from '../kind.js';
import { percent, round } from '../rounding.js';
import { Sampler } from '../sampler.js';

/** Since the machine started. */
export interface DiskCounters {
  readonly operations: number;
  readonly read: number;
  readonly written: number;
  /** Milliseconds that operations took, all together, and in which at least one was under way. */
  readonly waited: number;
  readonly busy: number;
}

/** Of the kernel's own, whatever the disk's are. */
const SECTOR = 512;

/** From /proc/diskstats (Linux: Documentation/admin-guide/iostats.rst). */
export function parseDiskstats(text: string): Map<string, DiskCounters> {
  const devices = new Map<string, DiskCounters>();
  for (const line of text.split('\n')) {
    const [, , name, ...columns] = line.trim().split(/\s+/);
    if (name === undefined || columns.length < 10) continue;
    const at = (column: number) => Number(columns[column]);
    devices.set(name, {
      operations: at(0) + at(4),
      read: at(2) * SECTOR,
      written: at(6) * SECTOR,
      waited: at(3) + at(7),
      busy: at(9),
    });
  }
  return devices;
}

/** Not in hardware, or on top of what is watched already. */
const NOT_WATCHED = /^(?:loop|ram|zram|sr|fd|dm-|md|nbd|drbd)\d*/;

/** Whole disks, no partitions: only these have an entry of their own. */
function disks(now: ReadonlyMap<string, DiskCounters>): string[] {
  const whole = readdirSync('/sys/block').filter((name) => !NOT_WATCHED.test(name));
  return whole.filter((name) => (now.get(name)?.operations ?? 0) > 0).sort();
}

export function diskIoValues(name: string, before: DiskCounters, now: DiskCounters, elapsed: Duration): MetricValue[] {
  // A counter that falls began again at zero: the device was taken out and another put in.
  const grown = (of: keyof DiskCounters) => (now[of] >= before[of] ? now[of] - before[of] : now[of]);
  const perSecond = (amount: number) => amount / (elapsed / 1_000);
  const operations = grown('operations');
  return [
    { name: `${name}/read`, unit: 'By/s', value: Math.round(perSecond(grown('read'))) },
    { name: `${name}/written`, unit: 'By/s', value: Math.round(perSecond(grown('written'))) },
    { name: `${name}/operations`, unit: '/s', value: round(perSecond(operations), 1) },
    { name: `${name}/busy`, unit: '%', value: percent(grown('busy'), elapsed) },
    { name: `${name}/wait`, unit: 'ms', value: operations === 0 ? 0 : round(grown('waited') / operations, 1) },
  ];
}

export const diskIo: SensorKind<DiskIoSettings> = {
  ...description,
  create({ devices: chosen }, { clock, platform }) {
    const sampler = new Sampler(clock, async () => parseDiskstats(readFileSync('/proc/diskstats', 'latin1')));
    return {
      async measure(signal) {
        if (platform !== 'linux') throw unsupported('disk I/O is read from the Linux kernel');
        const { before, now, elapsed } = await sampler.next(signal);
        const missing = chosen?.filter((name) => !now.has(name)) ?? [];
        if (missing.length > 0) throw new SensorFault('sensor.unreadable', `no device ${missing.join(', ')}`);
        const values = (chosen ?? disks(now)).flatMap((name) => {
          const [from, to] = [before.get(name), now.get(name)];
          return from && to ? diskIoValues(name, from, to, elapsed) : [];
        });
        return { values };
      },
    };
  },
};
