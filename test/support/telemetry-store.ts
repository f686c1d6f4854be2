// One hub whose batches go straight into a store, past sessions: for tests of what becomes of them there.
import { LedgerEntry } from '../../gen/occmesh/store/v1/store.js';
import type { Signed } from '../../gen/occmesh/telemetry/v1/telemetry.js';
import { type Author, Ingest, type Verdict } from '../../src/cloud/telemetry/ingest.js';
import type { PlacedReading } from '../../src/cloud/telemetry/latest.js';
import { Ledger } from '../../src/cloud/telemetry/ledger.js';
import { queryReadings, type ReadingsQuery } from '../../src/cloud/telemetry/query.js';
import { SigningKey } from '../../src/identity/keys.js';
import { signContent } from '../../src/identity/signed.js';
import { TAGS } from '../../src/identity/tags.js';
import { EVERYTHING } from '../../src/storage/copy.js';
import type { Store } from '../../src/storage/store.js';
import { packBatch } from '../../src/telemetry/batch.js';
import { chainNext, chainStart } from '../../src/telemetry/chain.js';
import { canonicalOrder, type Flush } from '../../src/telemetry/reading.js';

export const HUB = { customer: Buffer.alloc(16, 0x21), machine: Buffer.alloc(16, 0x22) };
export const LOG = Buffer.alloc(16, 0x33);
const KEY = SigningKey.generate();
export const ALL_TIME: ReadingsQuery = { sensor: 0, from: -8e15, until: 8e15 };

/** A log as its hub has written it: all flushes from 0 on. */
export class WrittenLog {
  /** After each flush. */
  readonly chains: Buffer[] = [];

  constructor(
    readonly flushes: readonly Flush[],
    readonly id: Buffer = LOG,
  ) {
    let chain = chainStart(id);
    for (const { readings } of flushes) {
      chain = chainNext(chain, readings);
      this.chains.push(chain);
    }
  }

  /** Flushes `first` … `end`-1, signed. */
  batch(first: number, end: number): Signed {
    const chain = this.chains[end - 1] as Buffer;
    const head = { log: this.id, firstFlush: first, chain };
    return signContent(KEY, TAGS.BATCH, packBatch(head, this.flushes.slice(first, end)));
  }

  /** As a query tells it. */
  placed(first = 0, end = this.flushes.length): PlacedReading[] {
    return this.flushes
      .slice(first, end)
      .flatMap(({ number: flush, readings }) =>
        canonicalOrder(readings).map((reading, position) => ({ reading, log: this.id, flush, position })),
      );
  }
}

export class TelemetryStore {
  readonly ledger: Ledger;
  readonly ingest: Ingest;

  constructor(readonly store: Store) {
    this.ledger = new Ledger(store);
    this.ingest = new Ingest(store);
    store.onReset(async () => this.ledger.reset());
  }

  async add(batch: Signed): Promise<Verdict['kind']> {
    const author: Author = {
      ...HUB,
      ledger: await this.ledger.of(HUB),
      budget: { record: () => undefined, unfold: () => undefined },
      verifyKey: () => KEY.publicKey,
      isCurrent: () => true,
    };
    return (await this.ingest.batch(author, batch)).kind;
  }

  async query(query: Partial<ReadingsQuery> = {}): Promise<PlacedReading[]> {
    const found: PlacedReading[] = [];
    for await (const some of queryReadings(this.store, HUB, { ...ALL_TIME, ...query })) found.push(...some);
    return found;
  }

  /** Ledger entries by first flush, and how many entries other tables have. */
  async contents(): Promise<{ entries: [first: number, LedgerEntry][]; batches: number; blocks: number }> {
    const contents = { entries: [] as [number, LedgerEntry][], batches: 0, blocks: 0 };
    for await (const { key, value } of this.store.entries(EVERYTHING)) {
      const table = key[16];
      if (table === 0x11)
        contents.entries.push([Number(key.readBigUInt64BE(key.length - 8)), LedgerEntry.decode(value)]);
      if (table === 0x12) contents.batches += 1;
      if (table === 0x14) contents.blocks += 1;
    }
    return contents;
  }
}
