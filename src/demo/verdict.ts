// Judges delivery: what the hubs themselves recorded as durable, against what the cloud returns through its API. Knows
// nothing of how either came about.
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';

import { every, type FlushRange, type LogLedger, type MeshClient } from '../client/index.js';

export interface Verdict {
  /** Readings that hubs reported durable. */
  readonly durable: number;
  /** Readings that the cloud holds. */
  readonly stored: number;
  /** Durable, not held, neither inside a gap nor expired. */
  readonly lost: number;
  /** Durable, not held, but inside a gap on record. */
  readonly inGaps: number;
  /** Durable, not held any more: it was older than the customer keeps readings. */
  readonly expired: number;
  /** Held more than once: the same identity twice, or the same measurement under two identities. */
  readonly duplicated: number;
  /** Held with other content than the hub recorded. */
  readonly altered: number;
}

/** A reading as a hub's journal has it. */
export interface Line {
  readonly log: string;
  readonly flush: number;
  readonly position: number;
  readonly sensor: number;
  readonly takenAt: number;
  readonly state: number;
  readonly message: string;
  readonly values: readonly { readonly name: string; readonly unit: string; readonly value: number }[];
}

const content = (line: Omit<Line, 'log' | 'flush' | 'position'>): string =>
  JSON.stringify([
    line.sensor,
    line.takenAt,
    line.state,
    line.message,
    line.values.map((v) => [v.name, v.unit, v.value]),
  ]);

/**
 * One hub's journals (several, where its directory was copied or rolled back) against the cloud. Also while the hub runs:
 * what it records after the beginning of this call is not judged.
 */
export async function judge(client: MeshClient, machineId: string, journals: readonly string[]): Promise<Verdict> {
  const lines: Line[] = [];
  for (const journal of journals) for await (const line of linesOf(journal)) lines.push(line);

  const held = new Map<string, string>();
  const contents = new Map<string, number>();
  let stored = 0;
  let duplicated = 0;
  for await (const { readings } of client.readings.queryReadings({ machineId, fromMs: MIN_TIME })) {
    for (const reading of readings) {
      stored += 1;
      const { id } = reading;
      if (!id) throw new Error('a reading without identity');
      const name = `${Buffer.from(id.log).toString('hex')}/${id.flush}/${id.position}`;
      const what = content({ ...reading, takenAt: reading.takenAtMs });
      if (held.has(name)) duplicated += 1;
      held.set(name, what);
      contents.set(what, (contents.get(what) ?? 0) + 1);
    }
  }
  const recorded = new Map<string, number>();
  let altered = 0;
  const missing: Line[] = [];
  for (const line of lines) {
    const what = content(line);
    recorded.set(what, (recorded.get(what) ?? 0) + 1);
    const there = held.get(`${line.log}/${line.flush}/${line.position}`);
    // Written again under another log after a fork: the same measurement counts, under whatever identity.
    if (there !== what && !contents.has(what)) {
      if (there === undefined) missing.push(line);
      else altered += 1;
    }
  }
  for (const [what, count] of contents) duplicated += Math.max(0, count - Math.max(1, recorded.get(what) ?? 1));
  const fates = await fatesOf(client, machineId);
  const count = (fate: Fate) => missing.filter(({ log, flush }) => fates(log, flush) === fate).length;
  const [lost, inGaps, expired] = [count('lost'), count('in a gap'), count('expired')];
  return { durable: lines.length, stored, lost, inGaps, expired, duplicated, altered };
}

const MIN_TIME = -8_640_000_000_000;

/** Of a flush that is not there. */
type Fate = 'expired' | 'in a gap' | 'lost';

async function fatesOf(client: MeshClient, machineId: string): Promise<(log: string, flush: number) => Fate> {
  const ledgers = new Map<string, LogLedger>();
  for await (const log of every(client.readings.getLedger, 'logs', { machineId })) {
    ledgers.set(Buffer.from(log.log).toString('hex'), log);
  }
  return (log, flush) => {
    const has = (range?: FlushRange) => range && flush >= range.first && flush < range.first + range.count;
    const { expired = [], lost = [] } = ledgers.get(log) ?? {};
    if (expired.some(has)) return 'expired';
    return lost.some(({ range }) => has(range)) ? 'in a gap' : 'lost';
  };
}

/** A journal's lines; the last one may be cut by a kill, and then was never reported. */
export async function* linesOf(journal: string): AsyncGenerator<Line> {
  const lines = createInterface({ input: createReadStream(journal), crlfDelay: Number.POSITIVE_INFINITY });
  for await (const text of lines) {
    if (text === '') continue;
    try {
      yield JSON.parse(text) as Line;
    } catch {}
  }
}

export function sum(verdicts: readonly Verdict[]): Verdict {
  const total = { durable: 0, stored: 0, lost: 0, inGaps: 0, expired: 0, duplicated: 0, altered: 0 };
  for (const verdict of verdicts) for (const key of Object.keys(total) as (keyof Verdict)[]) total[key] += verdict[key];
  return total;
}
