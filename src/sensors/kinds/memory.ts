// Kind `memory`: what programs could still get without swapping, and swap in use.
import { readFileSync } from 'node:fs';
import { freemem, totalmem } from 'node:os';
import { memory as description } from '../catalogue/memory.js';
import { SensorFault } from '../fault.js';
import type { MetricValue, NoSettings, SensorKind } from '../kind.js';
import { percent } from '../rounding.js';

/** All in bytes. */
export interface Memory {
  readonly total: number;
  readonly available: number;
  readonly swapTotal: number;
  readonly swapFree: number;
}

/** From /proc/meminfo, whose unit is always KiB. */
export function parseMeminfo(text: string): Memory {
  const field = (name: string) => {
    const match = new RegExp(`^${name}: +(\\d+) kB$`, 'm').exec(text);
    return match ? Number(match[1]) * 1_024 : undefined;
  };
  const total = field('MemTotal');
  const available = field('MemAvailable');
  if (total === undefined || available === undefined) {
    throw new SensorFault('sensor.unreadable', '/proc/meminfo has no MemTotal or MemAvailable');
  }
  return { total, available, swapTotal: field('SwapTotal') ?? 0, swapFree: field('SwapFree') ?? 0 };
}

async function read(platform: NodeJS.Platform): Promise<Memory> {
  if (platform === 'linux') return parseMeminfo(readFileSync('/proc/meminfo', 'latin1'));
  // On Windows "free" is what is available; elsewhere caches count as used and a library has to know better.
  if (platform === 'win32') return { total: totalmem(), available: freemem(), swapTotal: 0, swapFree: 0 };
  const { mem } = await import('systeminformation');
  const { total, available, swaptotal, swapfree } = await mem();
  return { total, available, swapTotal: swaptotal, swapFree: swapfree };
}

export function memoryValues({ total, available, swapTotal, swapFree }: Memory): MetricValue[] {
  const values = [
    { name: 'usage', unit: '%', value: percent(total - available, total) },
    { name: 'available', unit: 'By', value: available },
  ];
  if (swapTotal > 0) values.push({ name: 'swap', unit: '%', value: percent(swapTotal - swapFree, swapTotal) });
  return values;
}

export const memory: SensorKind<NoSettings> = {
  ...description,
  create: (_settings, { platform }) => ({
    measure: async () => ({ values: memoryValues(await read(platform)) }),
  }),
};
