// A hub's log, in memory: flushes of one reading each, and the signed batches and gaps that are made of them.

import type { LogSummary } from '../../gen/occmesh/link/v1/link.js';
import { Gap, GapReason, type Signed, State, Witness } from '../../gen/occmesh/telemetry/v1/telemetry.js';
import { signContent } from '../identity/signed.js';
import { TAGS } from '../identity/tags.js';
import type { EpochMs } from '../kernel/duration.js';
import { systemRandom, uuid7 } from '../kernel/random.js';
import { packBatch } from '../telemetry/batch.js';
import { chainNext, chainStart } from '../telemetry/chain.js';
import type { PlayedHub } from './bench.js';

export interface MadeBatch {
  /** As it travels: without the key's id, which the session implies. */
  readonly signed: Signed;
  readonly range: { readonly first: number; readonly count: number };
  readonly chain: Buffer;
}

export class Log {
  readonly id: Buffer;
  readonly #first: Buffer[] = [];

  constructor(
    private readonly hub: PlayedHub,
    private readonly now: EpochMs,
  ) {
    this.id = uuid7(systemRandom, now);
  }

  get next(): number {
    return this.#first.length;
  }

  /** A batch of one more flush, with a reading whose message has this text. */
  write(message = ''): MadeBatch {
    const number = this.next;
    const before = this.#first.at(-1) ?? chainStart(this.id);
    const made = this.#batch(number, before, [message]);
    this.#first.push(made.chain);
    return made;
  }

  /** Another batch in the place of the last one; not remembered. */
  contradict(): MadeBatch {
    return this.#batch(this.next - 1, this.#first.at(-2) ?? chainStart(this.id), ['something else']);
  }

  /** A flush of about so many bytes that nothing compresses; not remembered. */
  bulky(bytes: number): MadeBatch {
    const texts = Array.from({ length: Math.ceil(bytes / 1_000) }, () => systemRandom.bytes(500).toString('hex'));
    return this.#batch(this.next, this.#first.at(-1) ?? chainStart(this.id), texts);
  }

  gap(): Signed {
    const content = Gap.encode({
      ...{ machineId: this.hub.machineId, log: this.id, firstFlush: this.next, flushCount: 1, readingCount: 1 },
      ...{ reason: GapReason.LOG_FULL, noticedAtMs: this.now, witness: Witness.HUB },
    }).finish();
    return signContent(this.hub.key, TAGS.GAP, content);
  }

  /** As Hello tells of it. */
  summary(): LogSummary {
    const chain = this.#first.at(-1) ?? chainStart(this.id);
    return { log: this.id, first: 0, next: this.next, acked: [], chain, closed: false, continued: false };
  }

  #batch(number: number, before: Uint8Array, messages: readonly string[]): MadeBatch {
    const readings = messages.map((message, i) => ({
      ...{ sensor: 1 + i, takenAt: this.now, state: State.OK, message },
      values: [{ name: 'value', unit: '', value: number }],
    }));
    const chain = chainNext(before, readings);
    const content = packBatch({ log: this.id, firstFlush: number, chain }, [{ number, readings }]);
    const { signature } = signContent(this.hub.key, TAGS.BATCH, content);
    const signed = { content, signature, keyId: new Uint8Array(0) };
    return { signed, range: { first: number, count: 1 }, chain };
  }
}
