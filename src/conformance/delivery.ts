// Steps that rules of storing have in common: sending batches, waiting for their acknowledgement, coming back.
import { Lane } from '../../gen/occmesh/link/v1/link.js';
import type { FlushRange } from '../../gen/occmesh/telemetry/v1/telemetry.js';
import type { Bench } from './bench.js';
import { Log, type MadeBatch } from './log.js';
import { Broken, require } from './rule.js';
import { Session } from './session.js';

export const newLog = (bench: Bench): Log => new Log(bench.hub, bench.clock.now());

export const send = (session: Session, { signed }: MadeBatch, lane: Lane = Lane.LIVE): void =>
  session.sayContent({ $case: 'batch', value: signed }, lane);

export const includes = (ranges: readonly FlushRange[], flush: number): boolean =>
  ranges.some(({ first, count }) => flush >= first && flush < first + count);

export const count = (ranges: readonly FlushRange[]): number => ranges.reduce((sum, range) => sum + range.count, 0);

/** Waits until all of these are acknowledged, and nothing else is. */
export async function acknowledged(session: Session, log: Log, batches: readonly MadeBatch[]): Promise<void> {
  const missing = new Set(batches.map(({ range }) => range.first));
  while (missing.size > 0) {
    const { value } = await session.hear('ack');
    require(Buffer.from(value.log).equals(log.id), 'an Ack of another log');
    for (const { first, count: many } of value.ranges) {
      for (let flush = first; flush < first + many; flush++) {
        require(flush < log.next, `flush ${flush} was acknowledged, and was never sent`);
        missing.delete(flush);
      }
    }
    const last = value.ranges.at(-1);
    const made = batches.find(({ range }) => last && range.first === last.first + last.count - 1);
    if (made) require(made.chain.equals(value.chain), 'the chain of an Ack is not that of the batch');
  }
}

/** A new session, and what its Welcome says of a log. */
export async function comeBack(bench: Bench, log: Log) {
  const session = await Session.open(bench);
  session.greet({ change: { logs: [log.summary()] } });
  const { holdings } = await session.welcomed();
  const holding = holdings.find((one) => Buffer.from(one.log).equals(log.id));
  if (!holding) throw new Broken('Welcome says nothing of a log that Hello names');
  return { session, holding };
}

/** What the API says; a session that was cut is over when a new one is up. */
export async function heldExactly(bench: Bench, log: Log, readings: number): Promise<void> {
  if (!bench.api) return;
  const held = await bench.api.readingsHeld(bench.hub.machineId, log.id);
  require(held === readings, `the ledger counts ${held} readings where ${readings} were sent`);
}
