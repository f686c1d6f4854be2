// What the cloud holds of every hub's logs. Derived from the ledger entries in the store, which are written in the same
// commit as the readings they stand for; this is only their sum, read when a hub is first asked for and thrown away
// when a write has failed.
import type { Holding } from '../../../gen/occmesh/link/v1/link.js';
import { LedgerEntry } from '../../../gen/occmesh/store/v1/store.js';
import {
  type FlushRange,
  Gap,
  type GapReason,
  Signed,
  type Witness,
} from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { uuidBytes } from '../../identity/uuid.js';
import { keep, view } from '../../kernel/bytes.js';
import { LazyMap } from '../../kernel/lazy-map.js';
import { rangeOf, readU64be } from '../../storage/keys.js';
import type { Store } from '../../storage/store.js';
import { RangeSet } from '../../telemetry/ranges.js';
import { tableKey } from '../tables.js';
import { HistoryGate } from './history-gate.js';

/** A hub as the store's keys name it. */
export interface HubKey {
  readonly customer: Buffer;
  readonly machine: Buffer;
}

export const hubKeyOf = (hub: { readonly customerId: string; readonly id: string }): HubKey => ({
  customer: uuidBytes(hub.customerId),
  machine: uuidBytes(hub.id),
});

export interface KnownGap {
  readonly first: number;
  readonly count: number;
  readonly reason: GapReason;
  readonly witness: Witness;
  readonly noticedAtMs: number;
  readonly readingCount: number;
}

/** What takes memory of a hub's logs: ranges held and gaps, of all of them together. */
interface Tally {
  pieces: number;
}

/** One log of one hub. */
export class LogState {
  readonly held: RangeSet = new RangeSet();
  /** Of what is held: what is only known in sums. */
  readonly expired: RangeSet = new RangeSet();
  readings = 0;
  /** As text, which takes less than half: there is one for each log of each hub. */
  #chain = '';
  /** By first flush and witness, as in the store. */
  readonly #gaps = new LazyMap<string, KnownGap>();
  /** What gaps say, by who says it. */
  readonly #told = new LazyMap<Witness, RangeSet>();
  #announced = 0;

  constructor(
    readonly id: Buffer,
    private readonly tally: Tally = { pieces: 0 },
  ) {}

  /** Chain after the last flush held; empty while nothing is. */
  get chain(): Buffer {
    return Buffer.from(this.#chain, 'latin1');
  }

  get gaps(): KnownGap[] {
    return [...this.#gaps.values()];
  }

  overlaps(first: number, count: number): boolean {
    return this.held.within({ first, count }).size > 0;
  }

  /** Whether what is held would have one piece more with these flushes: they touch nothing that is. */
  isApart(first: number, count: number): boolean {
    return !this.overlaps(Math.max(0, first - 1), count + (first > 0 ? 2 : 1));
  }

  /** Records a stored batch. */
  hold(first: number, entry: Pick<LedgerEntry, 'flushCount' | 'readingCount' | 'chain'> & { expired?: boolean }): void {
    if (first + entry.flushCount >= this.held.end) this.#chain = view(entry.chain).toString('latin1');
    const before = this.held.rangeCount;
    this.held.add({ first, count: entry.flushCount });
    this.tally.pieces += this.held.rangeCount - before;
    this.readings += entry.readingCount;
    if (entry.expired) this.expired.add({ first, count: entry.flushCount });
  }

  /** Number of the flush after the last one that the hub is known to have had. */
  get announced(): number {
    return Math.max(this.#announced, this.held.end);
  }

  /** The hub says that every flush below `next` is durable there. */
  announce(next: number): void {
    this.#announced = Math.max(this.#announced, next);
  }

  /** True when gaps of the same witness say all of it already. */
  knowsGap({ first, count, witness }: KnownGap): boolean {
    return this.#told.get(witness)?.contains({ first, count }) ?? false;
  }

  /** Records a gap; like its key in the store it takes the place of one that begins where it begins. */
  addGap(gap: KnownGap): void {
    const before = this.#gaps.size;
    this.#gaps.set(`${gap.first}/${gap.witness}`, gap);
    this.tally.pieces += this.#gaps.size - before;
    const told = this.#told.get(gap.witness) ?? new RangeSet();
    this.#told.set(gap.witness, told);
    told.add(gap);
  }

  /** Flushes known to be gone: gaps minus what is held. */
  get lost(): RangeSet {
    return this.#gone().subtract(this.held);
  }

  holding(): Holding {
    return { log: this.id, held: this.held.toProto(), chain: this.chain, gaps: this.#gone().toProto() };
  }

  #gone(): RangeSet {
    const all = new RangeSet();
    for (const told of this.#told.values()) all.addAll(told);
    return all;
  }
}

/** Logs of one hub of which nothing is known but how far they are said to reach; a hub has one at a time. */
const MOST_ANNOUNCED = 256;

/** All logs of one hub. */
export class HubLedger {
  /** Of which something is held or known to be gone. */
  readonly logs: Map<string, LogState> = new Map();
  /** Named or announced and nothing else, the last one last: names that cost a hub nothing, so only so many are kept. */
  readonly #announced = new LazyMap<string, LogState>();
  readonly #tally: Tally = { pieces: 0 };

  /** Ranges held and gaps, of all logs together: what grows with how it was sent, not with how much. */
  get pieces(): number {
    return this.#tally.pieces;
  }

  /** Whether something of this log is held or known to be gone. */
  knows(id: Uint8Array): boolean {
    return this.logs.has(nameOf(id));
  }

  /** To be written to. */
  log(id: Uint8Array): LogState {
    const name = nameOf(id);
    const known = this.logs.get(name);
    if (known) return known;
    const state = this.#announced.get(name) ?? new LogState(keep(id), this.#tally);
    this.#announced.delete(name);
    this.logs.set(name, state);
    return state;
  }

  /** To be read; empty when nothing is known of it. */
  look(id: Uint8Array): LogState {
    const name = nameOf(id);
    return this.logs.get(name) ?? this.#announced.get(name) ?? new LogState(keep(id), this.#tally);
  }

  /** The hub says that every flush of the log below `next` is durable there. */
  announce(id: Uint8Array, next: number): void {
    this.mention(id).announce(next);
  }

  /** The hub has such a log: one of which nothing has come yet is shown to whoever waits for it. */
  mention(id: Uint8Array): LogState {
    const state = this.look(id);
    const name = nameOf(id);
    if (this.logs.has(name)) return state;
    this.#announced.delete(name);
    this.#announced.set(name, state);
    for (const oldest of this.#announced.keys()) {
      if (this.#announced.size <= MOST_ANNOUNCED) break;
      this.#announced.delete(oldest);
    }
    return state;
  }

  /** Everything known, by name. */
  all(): [name: string, state: LogState][] {
    return [...this.logs, ...this.#announced];
  }
}

const nameOf = (id: Uint8Array): string => view(id).toString('hex');

const LOG_BYTES = 16;

export class Ledger {
  /** For whoever reads readings and summaries, which move from one place to the other. */
  readonly gate: HistoryGate = new HistoryGate();
  readonly #hubs = new Map<string, Promise<HubLedger>>();

  constructor(private readonly store: Store) {}

  /** The hub's ledger, read from the store the first time. */
  of(hub: HubKey): Promise<HubLedger> {
    const name = hub.machine.toString('hex');
    let ledger = this.#hubs.get(name);
    if (!ledger) {
      ledger = this.#read(hub);
      this.#hubs.set(name, ledger);
      const reading = ledger;
      reading.catch(() => {
        if (this.#hubs.get(name) === reading) this.#hubs.delete(name);
      });
    }
    return ledger;
  }

  /** Takes in that the readings of these flushes have expired. */
  async expired(hub: HubKey, log: Buffer, range: FlushRange): Promise<void> {
    // Whoever reads it from the store after this sees it there.
    const known = await this.#hubs.get(hub.machine.toString('hex'));
    known?.log(log).expired.add(range);
  }

  /** Forgets everything, to be read again: after a failed write, what was counted in may not be there. */
  reset(): void {
    this.#hubs.clear();
  }

  async #read(hub: HubKey): Promise<HubLedger> {
    const ledger = new HubLedger();
    const ledgerPrefix = tableKey(hub.customer, 'ledger', hub.machine);
    for await (const { key, value } of this.store.entries(rangeOf(ledgerPrefix))) {
      const id = key.subarray(ledgerPrefix.length, ledgerPrefix.length + LOG_BYTES);
      const first = readU64be(key, ledgerPrefix.length + LOG_BYTES);
      ledger.log(id).hold(first, LedgerEntry.decode(value));
    }
    for await (const { value } of this.store.entries(rangeOf(tableKey(hub.customer, 'gap', hub.machine)))) {
      const gap = Gap.decode(Signed.decode(value).content);
      ledger.log(gap.log).addGap(knownGap(gap));
    }
    return ledger;
  }
}

export function knownGap(gap: Gap): KnownGap {
  return {
    first: gap.firstFlush,
    count: gap.flushCount,
    reason: gap.reason,
    witness: gap.witness,
    noticedAtMs: gap.noticedAtMs,
    readingCount: gap.readingCount,
  };
}
