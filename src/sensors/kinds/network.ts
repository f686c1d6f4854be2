// Kind `network`: bytes per second in and out and new errors, by interface: `eth0/in`, `eth0/out`, `eth0/errors`.
import { readFileSync } from 'node:fs';
import type { Duration } from '../../kernel/duration.js';
import { network as description, type NetworkSettings } from '../catalogue/network.js';
import { SensorFault } from '../fault.js';
import type { MetricValue, SensorKind } from '../kind.js';
import { Sampler } from '../sampler.js';

/** Since the machine or the interface started. */
export interface Counters {
  readonly received: number;
  readonly sent: number;
  readonly errors: number;
}
export type Interfaces = ReadonlyMap<string, Counters>;

/** From /proc/net/dev: name, then 8 columns of receiving and 8 of sending; bytes come first, errors third. */
export function parseNetDev(text: string): Interfaces {
  const interfaces = new Map<string, Counters>();
  for (const line of text.split('\n')) {
    const match = /^\s*([^\s]+):\s*(\d[\d\s]*)$/.exec(line);
    if (!match) continue;
    const columns = (match[2] ?? '').trim().split(/\s+/).map(Number);
    const at = (column: number) => columns[column] ?? 0;
    interfaces.set(match[1] ?? '', { received: at(0), sent: at(8), errors: at(2) + at(10) });
  }
  return interfaces;
}

async function read(platform: NodeJS.Platform): Promise<Interfaces> {
  if (platform === 'linux') return parseNetDev(readFileSync('/proc/net/dev', 'latin1'));
  const { networkStats } = await import('systeminformation');
  const stats = await networkStats('*');
  return new Map(
    stats.map((s) => [s.iface, { received: s.rx_bytes, sent: s.tx_bytes, errors: s.rx_errors + s.tx_errors }]),
  );
}

/** Loopback, and the host's ends of containers' interfaces, which come and go. */
const NOT_WATCHED = /^(?:lo\d*|veth.*|cali.*|lxc.*|tap.*|Loopback.*)$/;

function watched(interfaces: Interfaces): string[] {
  const busy = [...interfaces].filter(([name, { received, sent }]) => !NOT_WATCHED.test(name) && received + sent > 0);
  return busy.map(([name]) => name).sort();
}

export function networkValues(name: string, before: Counters, now: Counters, elapsed: Duration): MetricValue[] {
  // A counter that falls was reset with its interface: it began again at zero.
  const grown = (from: number, to: number) => (to >= from ? to - from : to);
  const rate = (from: number, to: number) => Math.round(grown(from, to) / (elapsed / 1_000));
  return [
    { name: `${name}/in`, unit: 'By/s', value: rate(before.received, now.received) },
    { name: `${name}/out`, unit: 'By/s', value: rate(before.sent, now.sent) },
    { name: `${name}/errors`, unit: '', value: grown(before.errors, now.errors) },
  ];
}

export const network: SensorKind<NetworkSettings> = {
  ...description,
  create({ interfaces: chosen }, { clock, platform }) {
    const sampler = new Sampler(clock, () => read(platform));
    return {
      async measure(signal) {
        const { before, now, elapsed } = await sampler.next(signal);
        const missing = chosen?.filter((name) => !now.has(name)) ?? [];
        if (missing.length > 0) throw new SensorFault('sensor.unreadable', `no interface ${missing.join(', ')}`);
        const values = (chosen ?? watched(now)).flatMap((name) => {
          const [from, to] = [before.get(name), now.get(name)];
          return from && to ? networkValues(name, from, to, elapsed) : [];
        });
        return { values };
      },
    };
  },
};
