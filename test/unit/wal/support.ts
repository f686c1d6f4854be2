// What the tests of the log share: readings, a log in a temporary directory, and reading all of it back.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Gap, type Signed, State } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import type { Clock } from '../../../src/kernel/clock.js';
import { epochMs } from '../../../src/kernel/duration.js';
import { type Logger, silentLogger } from '../../../src/kernel/log.js';
import { chainNext, chainStart } from '../../../src/telemetry/chain.js';
import { RangeSet } from '../../../src/telemetry/ranges.js';
import type { Reading } from '../../../src/telemetry/reading.js';
import type { OpenStore } from '../../../src/wal/repair.js';
import { type StoredFlush, Wal, type WalOptions } from '../../../src/wal/wal.js';
import { seededRandom, testSeed } from '../../support/seeded-random.js';

export const MACHINE = Buffer.alloc(16, 7);
export const ALL = { maxReadings: 1e9, maxBytes: 1e12, until: Number.MAX_SAFE_INTEGER };

/** `count` readings that no other call gives: `id` is in all their values. */
export function readings(id: number, count = 1): Reading[] {
  return Array.from({ length: count }, (_, i) => ({
    sensor: i + 1,
    takenAt: epochMs(Date.UTC(2026, 0, 1) + id * 1_000 + i),
    state: State.OK,
    message: '',
    values: [{ name: 'id', unit: '', value: id }],
  }));
}

/** The `id` that the readings of a flush were made with. */
export const idOf = (flush: { readonly readings: readonly Reading[] }): number =>
  flush.readings[0]?.values[0]?.value ?? Number.NaN;

/** Not a signature, but as good as one for whoever only carries it. */
export const signGap = (content: Uint8Array): Signed => ({
  content,
  signature: Buffer.from('signature'),
  keyId: Buffer.alloc(8),
});

export async function temporaryDirectory(): Promise<{ path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), 'wal-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

export interface OpenOptions extends Partial<WalOptions> {
  readonly clock: Clock;
  readonly openStore?: OpenStore;
  readonly log?: Logger;
}

let opened = 0;

/** A small log, with a reserve of one block. */
export function openWal(directory: string, { clock, openStore, log, ...options }: OpenOptions): Promise<Wal> {
  return Wal.open(
    { directory, machineId: MACHINE, reserveBytes: 4_096, ...options },
    {
      clock,
      random: seededRandom(testSeed + opened++),
      log: log ?? silentLogger,
      signGap,
      ...(openStore ? { openStore } : {}),
    },
  );
}

/** A clock whose timers can be made to never fire, as those of a killed process. */
export function mortal(clock: Clock): { readonly clock: Clock; kill(): void } {
  let alive = true;
  return {
    clock: {
      now: () => clock.now(),
      monotonic: () => clock.monotonic(),
      after: (delay, action) => clock.after(delay, () => alive && action()),
    },
    kill: () => {
      alive = false;
    },
  };
}

export interface Found {
  readonly log: string;
  readonly flush: StoredFlush;
}

/** Everything that waits for acknowledgement, with its chain checked wherever the flush before it is here. */
export async function readAll(wal: Wal): Promise<Found[]> {
  const found: Found[] = [];
  for (const { log, waiting } of wal.unacked()) {
    for (const { first, count } of waiting.toProto()) {
      let chain = await wal.chainAt(log, first - 1);
      let at = first;
      while (at < first + count) {
        const flushes = await wal.read(log, at, { ...ALL, until: first + count });
        if (flushes.length === 0) throw new Error(`flush ${at} is said to wait and is not here`);
        for (const flush of flushes) {
          if (flush.number !== at) throw new Error(`flush ${flush.number} where ${at} should be`);
          if (chain && !chainNext(chain, flush.readings).equals(flush.chain)) throw new Error(`chain broken at ${at}`);
          chain = flush.chain;
          at += 1;
          found.push({ log: log.toString('hex'), flush });
        }
      }
    }
  }
  return found;
}

/** The flushes of a log that are inside gaps, pending or acknowledged. */
export function inGaps(wal: Wal, log: Buffer): RangeSet {
  const told = wal.gaps().flatMap(({ signed }) => {
    const gap = Gap.decode(signed.content);
    return log.equals(gap.log) ? [{ first: gap.firstFlush, count: gap.flushCount }] : [];
  });
  return RangeSet.from(told).union(wal.gone(log));
}

export { chainStart };
