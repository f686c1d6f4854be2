// The way of a batch or a gap into the store: verified against its author's keys, judged against the ledger inside the
// commit, stored together with its ledger entry, told to whoever listens. Only then may it be acknowledged.

import { Lane } from '../../../gen/occmesh/link/v1/link.js';
import { LedgerEntry } from '../../../gen/occmesh/store/v1/store.js';
import { Gap, Signed, Witness } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import type { VerifyKey } from '../../identity/keys.js';
import { verifySigned } from '../../identity/signed.js';
import { TAGS } from '../../identity/tags.js';
import { view } from '../../kernel/bytes.js';
import { toError } from '../../kernel/fault.js';
import { SerialByKey } from '../../kernel/serial.js';
import { LinkFault } from '../../link/fault.js';
import { u64be } from '../../storage/keys.js';
import type { Store } from '../../storage/store.js';
import { type OpenBatch, unpackBatch } from '../../telemetry/batch.js';
import { tableKey } from '../tables.js';
import { digestsOf } from './chains.js';
import { entryOf, keyOfRange } from './held.js';
import { type HubKey, type HubLedger, knownGap } from './ledger.js';
import { Turns } from './turns.js';
import { HASHING, unfoldingCost, VERIFYING_COST } from './unfolding.js';

/** How much the cloud may have to do for one hub, and to remember of it. */
export interface AuthorBudget {
  /** Asked before a batch is unfolded: see unfoldingCost(). Faults: link.exhausted. */
  unfold(cost: number): void;
  /**
   * Asked inside the commit, before something is recorded that was not there: `apart` when it is one range or gap more.
   * Faults: link.exhausted.
   */
  record(ledger: HubLedger, log: Uint8Array, apart: boolean): void;
}

/** The session on whose behalf something is stored. */
export interface Author extends HubKey {
  readonly ledger: HubLedger;
  readonly budget: AuthorBudget;
  /** The author's key with this id, of all it ever had. */
  verifyKey(keyId: Uint8Array): VerifyKey | undefined;
  /** False once a newer session has taken over: nothing more is stored for this one. Asked inside the commit. */
  isCurrent(): boolean;
}

export interface StoredBatch {
  readonly log: Buffer;
  readonly first: number;
  readonly count: number;
  readonly chain: Buffer;
}

export type Verdict =
  /** Stored now. */
  | { readonly kind: 'stored'; readonly batch: StoredBatch }
  /** Was there already, the very same. */
  | { readonly kind: 'held'; readonly batch: StoredBatch }
  /** Overlaps something else: two machines write this log. */
  | { readonly kind: 'conflict'; readonly batch: StoredBatch };

/** What was just stored, for latest values and watchers: readings are made of it only as far as somebody wants them. */
export type StoredListener = (hub: HubKey, log: Buffer, batch: OpenBatch) => void;

const MAX_FLUSH = Number.MAX_SAFE_INTEGER / 2;

export class Ingest {
  readonly #listeners = new Set<StoredListener>();
  /** Of one hub one at a time: what is compared takes far more memory than what asks for it. */
  readonly #comparing = new SerialByKey();

  constructor(
    private readonly store: Store,
    /** Of all that is unfolded for hubs. */
    readonly turns: Turns = new Turns(),
  ) {}

  /** Whether batches are on their way into the store. */
  get isBusy(): boolean {
    return this.turns.isBusy;
  }

  /** Calls `listener` after each stored batch; returns its removal. */
  onStored(listener: StoredListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Faults: link.unauthentic, link.protocol, link.superseded, link.exhausted; storage faults. */
  async batch(author: Author, signed: Signed, lane: Lane = Lane.LIVE): Promise<Verdict> {
    const opened = open(signed);
    const { log, firstFlush, flushCount, chain } = opened.header;
    // Not copied: what waits for its turn keeps nothing but what has come.
    const batch = { log: view(log), first: firstFlush, count: flushCount, chain: view(chain) };
    // Whatever its header says, it has to be hashed and written, too.
    const end = await this.turns.take(author, lane, unfoldingCost(opened.header) + signed.content.length);
    try {
      // Of what waited for its turn, nothing is looked at any more once its session has ended.
      if (!author.isCurrent()) throw superseded();
      verify(author, signed, 'batch');
      if (await this.#store(author, signed, opened, batch)) return { kind: 'stored', batch };
    } finally {
      end();
    }
    // What counts as held may still be on its way to the disk: the very same batch, delivered twice in a row.
    await this.store.commit(() => undefined);
    return this.#comparing.run(author.machine.toString('hex'), () => this.#compare(author, batch, opened, lane));
  }

  /** False when the range was held already, at least in part. */
  async #store(author: Author, signed: Signed, opened: OpenBatch, batch: StoredBatch): Promise<boolean> {
    const { ledger, budget } = author;
    const { log, first, count } = batch;
    // What comes again, and be it that a carrier repeats it, is not unfolded.
    const comesAgain = ledger.look(log).overlaps(first, count);
    budget.unfold(comesAgain ? VERIFYING_COST : unfoldingCost(opened.header));
    if (comesAgain) return false;
    const entry = parse('batch', () => entryOf(opened));
    const record = Signed.encode(signed).finish();
    let overtaken = false;
    await this.store.commit(() => {
      if (!author.isCurrent()) throw superseded();
      const known = ledger.look(log);
      overtaken = known.overlaps(first, count);
      if (overtaken) return undefined;
      budget.record(ledger, log, known.isApart(first, count));
      ledger.log(log).hold(first, entry);
      return [
        { put: keyOfRange(author, 'batch', log, first), value: record },
        { put: keyOfRange(author, 'ledger', log, first), value: LedgerEntry.encode(entry).finish() },
      ];
    });
    if (overtaken) return false;
    // The ledger's own name of the log: whoever keeps it keeps nothing more by that.
    const { id } = ledger.log(log);
    for (const listener of this.#listeners) listener(author, id, opened);
    return true;
  }

  /** Records a gap. Faults as for batch(). */
  async gap(author: Author, signed: Signed): Promise<Gap> {
    const end = await this.turns.take(author, Lane.LIVE, VERIFYING_COST + signed.content.length);
    try {
      if (!author.isCurrent()) throw superseded();
      return await this.#gap(author, signed);
    } finally {
      end();
    }
  }

  async #gap(author: Author, signed: Signed): Promise<Gap> {
    verify(author, signed, 'gap');
    const gap = parse('gap', () => Gap.decode(signed.content));
    if (!author.machine.equals(gap.machineId))
      throw new LinkFault('link.unauthentic', "a gap of another machine's log");
    checkRange(gap.log, gap.firstFlush, gap.flushCount);
    if (gap.witness !== Witness.HUB) throw new LinkFault('link.protocol', 'a hub can be witness for itself only');
    await this.recordGap(author, gap, signed);
    return gap;
  }

  /** Stores a verified gap, whoever noticed it. */
  async recordGap(author: Author, gap: Gap, signed: Signed): Promise<void> {
    const { ledger, budget } = author;
    await this.store.commit(() => {
      if (!author.isCurrent()) throw superseded();
      // Also one that is only a part of what is known: an older one, sent once more, must not take the newer's place.
      const known = knownGap(gap);
      if (ledger.look(gap.log).knowsGap(known)) return undefined;
      budget.record(ledger, gap.log, true);
      ledger.log(gap.log).addGap(known);
      const at = [author.machine, Buffer.from(gap.log), u64be(gap.firstFlush), Buffer.of(gap.witness)] as const;
      return [{ put: tableKey(author.customer, 'gap', ...at), value: Signed.encode(signed).finish() }];
    });
  }

  /** The range is held at least in part: the very same batch, or one that contradicts it? */
  async #compare(author: Author, batch: StoredBatch, opened: OpenBatch, lane: Lane): Promise<Verdict> {
    if (!author.isCurrent()) throw superseded();
    const { log, first, count, chain } = batch;
    if (!author.ledger.look(log).held.contains({ first, count })) return { kind: 'conflict', batch };
    // Its boundaries may be gone, merged with others: the same chain after its last flush means the same flushes.
    const end = first + count;
    const pay = async (cost: number) => author.budget.unfold(cost);
    const [held] = await this.turns.during(author, lane, pay, (afford) =>
      digestsOf(this.store, author, log, end - 1, end, async (cost) => {
        await afford(cost * HASHING);
        if (!author.isCurrent()) throw superseded();
      }),
    );
    if (held && chain.equals(held.chain)) return { kind: 'held', batch };
    if (held?.chain.length === 0) {
      // Nobody can compare it any more. What is later than all that has expired there is something else for sure.
      author.budget.unfold(unfoldingCost(opened.header));
      const latest = parse('batch', () => opened.table().timeSpan()?.latest ?? 0);
      if (latest <= held.expiredUntilMs) return { kind: 'held', batch };
    }
    return { kind: 'conflict', batch };
  }
}

const superseded = (): LinkFault => new LinkFault('link.superseded', "this session is no longer its hub's current one");

/** Only its header is read, and nothing is verified yet. */
function open(signed: Signed): OpenBatch {
  return parse('batch', () => {
    const batch = unpackBatch(signed.content);
    const { log, firstFlush, flushCount } = batch.header;
    checkRange(log, firstFlush, flushCount);
    return batch;
  });
}

function verify(author: Author, signed: Signed, what: 'batch' | 'gap'): void {
  const key = author.verifyKey(signed.keyId);
  if (!key || !verifySigned(key, what === 'batch' ? TAGS.BATCH : TAGS.GAP, signed)) {
    throw new LinkFault('link.unauthentic', `the signature of a ${what} does not verify`);
  }
}

function parse<T>(what: string, decode: () => T): T {
  try {
    return decode();
  } catch (cause) {
    if (cause instanceof LinkFault) throw cause;
    throw new LinkFault('link.protocol', `a signed ${what} does not parse: ${toError(cause).message}`, { cause });
  }
}

function checkRange(log: Uint8Array, first: number, count: number): void {
  if (log.length !== 16 || count < 1 || first + count > MAX_FLUSH) {
    throw new LinkFault('link.protocol', 'a log or a range of flushes that cannot be');
  }
}
