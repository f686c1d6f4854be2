// From a store and a mark to the books: what is there, what was acknowledged, and what should be there and is not.
import { Gap } from '../../gen/occmesh/telemetry/v1/telemetry.js';
import type { Duration } from '../kernel/duration.js';
import type { Store } from '../storage/store.js';
import { Books } from './books.js';
import { LogState } from './log-state.js';
import type { Mark } from './mark-file.js';
import { ALL_FLUSHES, ALL_GAPS, ALL_LOGS, decodeFlush, decodeGap, decodeLog, flushKey, logOfKey } from './records.js';
import type { RetentionLimits } from './retention.js';

export interface Loaded {
  readonly books: Books;
  /** Keys of flushes that have been continued under another log; to be deleted. */
  readonly leftovers: Buffer[];
}

/** Reads everything, once: the checksum of every record is checked on the way. Faults: storage.damaged, wal.newer. */
export async function loadBooks(
  store: Store,
  mark: Mark | undefined,
  limits: RetentionLimits,
  now: Duration,
): Promise<Loaded> {
  const books = new Books(limits);
  const logOf = (id: Buffer): LogState => {
    const known = books.log(id);
    if (known) return known;
    const log = new LogState(Buffer.from(id));
    books.addLog(log);
    return log;
  };
  for await (const { key, value } of store.entries(ALL_LOGS)) Object.assign(logOf(logOfKey(key)), decodeLog(value));
  for (const { log: id, next, chain, cut } of mark?.entries ?? []) {
    const log = logOf(id);
    // A cut only ever lowers the end: whichever of the two knows of it is right.
    if (cut ? !log.cut : next > log.next && !log.cut) Object.assign(log, { next, chain, cut });
  }
  for await (const { value } of store.entries(ALL_GAPS)) {
    const signed = decodeGap(value);
    const gap = Gap.decode(signed.content);
    logOf(Buffer.from(gap.log));
    books.changeGaps({ removed: [], added: [{ gap, signed }] });
  }
  const leftovers: Buffer[] = [];
  for await (const entry of store.entries(ALL_FLUSHES)) {
    const flush = decodeFlush(entry);
    const log = logOf(flush.log);
    if (log.cut && flush.number >= log.next) {
      leftovers.push(flushKey(flush.log, flush.number));
      continue;
    }
    if (flush.number >= log.next - 1) {
      log.next = flush.number + 1;
      log.chain = Buffer.from(flush.chain);
    }
    if (log.acked.has(flush.number)) books.keep(log, flush, now);
    else books.owe(log, flush);
  }
  for (const log of books.logs()) {
    log.gone.removeAll(log.unacked);
    const end = Math.max(log.acked.end, log.gone.end, log.gaps.end);
    if (end > log.next) Object.assign(log, { next: end, chain: undefined });
  }
  return { books, leftovers };
}
