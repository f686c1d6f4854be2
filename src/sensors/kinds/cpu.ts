// Kind `cpu`: how busy the processors were since the run before, all cores together.
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { cpu as description } from '../catalogue/cpu.js';
import { SensorFault } from '../fault.js';
import type { MetricValue, NoSettings, SensorKind } from '../kind.js';
import { percent } from '../rounding.js';
import { Sampler } from '../sampler.js';

/** Time since start, in any unit that is the same for all. */
export interface CpuTimes {
  readonly idle: number;
  readonly total: number;
  /** Waiting for disks, and taken away by the hypervisor: Linux only. */
  readonly iowait?: number;
  readonly steal?: number;
}

/** From /proc/stat. Guest time is already part of user time (proc_stat(5)). */
export function parseProcStat(text: string): CpuTimes {
  const line = /^cpu +(.+)$/m.exec(text)?.[1];
  if (line === undefined) throw new SensorFault('sensor.unreadable', '/proc/stat has no line for all processors');
  const [user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0] = line
    .split(' ')
    .map(Number);
  return { idle, iowait, steal, total: user + nice + system + idle + iowait + irq + softirq + steal };
}

function portableTimes(): CpuTimes {
  const sum = { idle: 0, total: 0 };
  for (const { times } of cpus()) {
    sum.idle += times.idle;
    sum.total += times.user + times.nice + times.sys + times.idle + times.irq;
  }
  return sum;
}

export function cpuValues(before: CpuTimes, now: CpuTimes): MetricValue[] {
  const total = now.total - before.total;
  const share = (name: string, part: number) => ({ name, unit: '%', value: percent(part, total) });
  const waiting = (now.iowait ?? 0) - (before.iowait ?? 0);
  const values = [share('usage', total - (now.idle - before.idle) - waiting)];
  if (now.iowait !== undefined) values.push(share('iowait', waiting));
  if (now.steal !== undefined) values.push(share('steal', now.steal - (before.steal ?? 0)));
  return values;
}

export const cpu: SensorKind<NoSettings> = {
  ...description,
  create(_settings, { clock, platform }) {
    const read = platform === 'linux' ? () => parseProcStat(readFileSync('/proc/stat', 'latin1')) : portableTimes;
    const sampler = new Sampler(clock, async () => read());
    return {
      async measure(signal) {
        const { before, now } = await sampler.next(signal);
        return { values: cpuValues(before, now) };
      },
    };
  },
};
