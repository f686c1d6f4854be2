// Reading flushes back: from memory where they are recent, else from the store. A flush that the books know and the
// store does not have is damage.
import type { FlushRange } from '../../gen/occmesh/telemetry/v1/telemetry.js';
import type { EpochMs } from '../kernel/duration.js';
import { StorageFault, type Store } from '../storage/store.js';
import { chainStart } from '../telemetry/chain.js';
import type { Reading } from '../telemetry/reading.js';
import type { Books } from './books.js';
import type { LogState } from './log-state.js';
import type { StoredFlush } from './recent.js';
import { decodeFlush, type FlushRecord, flushKey, readingsOf } from './records.js';

export interface ReadBounds {
  readonly maxReadings: number;
  /** Of encoded readings as they lie in the store. */
  readonly maxBytes: number;
  /** First flush not wanted. */
  readonly until: number;
}

/** What can be told of a flush without decoding its readings. */
export interface FlushHeader {
  readonly number: number;
  readonly size: number;
  readonly readingCount: number;
  readonly durableAt: EpochMs;
}

export class Reader {
  constructor(
    private readonly store: Store,
    private readonly books: Books,
  ) {}

  /** Contiguous flushes from `from` on; none when that one is not here; at least one when it is. */
  async read(id: Uint8Array, from: number, bounds: ReadBounds): Promise<StoredFlush[]> {
    const log = this.books.log(id);
    const flushes: StoredFlush[] = [];
    if (!log?.isHere(from) || from >= bounds.until) return flushes;
    const here = log.unacked.union(log.retained).within({ first: from, count: bounds.until - from });
    const range = here.toProto()[0];
    if (!range) return flushes;
    let [readings, bytes] = [0, 0];
    for await (const flush of this.#flushes(log, range)) {
      readings += flush.readingCount;
      bytes += flush.size;
      if (flushes.length > 0 && (readings > bounds.maxReadings || bytes > bounds.maxBytes)) break;
      flushes.push(flush);
    }
    return flushes;
  }

  /** Digest after `flush`; undefined when it is not known here. */
  async chainAt(id: Uint8Array, flush: number): Promise<Buffer | undefined> {
    const log = this.books.log(id);
    if (!log || flush < -1) return undefined;
    if (flush === -1) return chainStart(log.id);
    if (flush === log.next - 1) return log.chain;
    const recent = this.books.recent.get(log.name, flush);
    if (recent || !log.isHere(flush)) return recent?.chain;
    for await (const { chain } of this.scan(log, { first: flush, count: 1 })) return Buffer.from(chain);
    return undefined;
  }

  /** The flushes of `range`, all of them, from the store. Faults: storage.damaged when one is missing. */
  async *scan(log: LogState, range: FlushRange): AsyncGenerator<FlushRecord> {
    const end = range.first + range.count;
    let next = range.first;
    const span = { from: flushKey(log.id, range.first), until: flushKey(log.id, end) };
    for await (const entry of this.store.entries(span)) {
      const record = decodeFlush(entry);
      if (record.number !== next) break;
      next += 1;
      yield record;
    }
    if (next < end) throw new StorageFault('storage.damaged', `flush ${next} of log ${log.name} is missing`);
  }

  async *headers(log: LogState, range: FlushRange): AsyncGenerator<FlushHeader> {
    const rest = yield* this.#recent(log, range);
    if (rest) yield* this.scan(log, rest);
  }

  async *#flushes(log: LogState, range: FlushRange): AsyncGenerator<StoredFlush> {
    const rest = yield* this.#recent(log, range);
    if (!rest) return;
    for await (const record of this.scan(log, rest)) yield new LoadedFlush(record);
  }

  /** What is in memory at the beginning of `range`; returns what is left of it. */
  *#recent(log: LogState, { first, count }: FlushRange): Generator<StoredFlush, FlushRange | undefined> {
    const end = first + count;
    for (let at = first; at < end; at++) {
      const recent = this.books.recent.get(log.name, at);
      if (!recent) return { first: at, count: end - at };
      yield recent;
    }
    return undefined;
  }
}

/** A flush from the store: its readings are made only when somebody wants them. */
class LoadedFlush implements StoredFlush {
  #readings: readonly Reading[] | undefined;

  constructor(private readonly record: FlushRecord) {}

  get number(): number {
    return this.record.number;
  }

  get chain(): Buffer {
    return this.record.chain;
  }

  get durableAt(): EpochMs {
    return this.record.durableAt;
  }

  get size(): number {
    return this.record.size;
  }

  get readingCount(): number {
    return this.record.readingCount;
  }

  get valueCount(): number {
    return this.record.valueCount;
  }

  get columns(): Uint8Array {
    return this.record.columns;
  }

  get readings(): readonly Reading[] {
    this.#readings ??= readingsOf(this.record);
    return this.#readings;
  }
}
