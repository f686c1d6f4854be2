// Positions of readings as they are stored, as callers see them: sealed, because how much all customers store is for none of
// them to know. The key is as old as this start of the cloud, and so is what a position means; when it was given away can
// be read after that, too.
import { createCipheriv, createDecipheriv } from 'node:crypto';
import { invalid } from '../../contract/status.js';
import type { Clock } from '../../kernel/clock.js';
import type { Random } from '../../kernel/random.js';
import { keyOfToken, tokenOf } from './paging.js';

const [KEY, NONCE, NUMBER, TAG] = [32, 12, 8, 16];
const CIPHER = 'aes-256-gcm';
const FIELD = 'after_position';

export interface Position {
  /** How many batches had been stored; undefined when another start of the cloud gave it away. */
  readonly stored: number | undefined;
  readonly atMs: number;
}

export class Positions {
  readonly #start: string;
  readonly #key: Buffer;

  constructor(private readonly modules: { readonly clock: Clock; readonly random: Random }) {
    this.#start = modules.random.bytes(6).toString('hex');
    this.#key = modules.random.bytes(KEY);
  }

  /** No two are the same: not even that nothing was stored in between is to be seen. */
  seal(stored: number): string {
    const nonce = this.modules.random.bytes(NONCE);
    const plain = Buffer.alloc(NUMBER);
    plain.writeDoubleBE(stored);
    const cipher = createCipheriv(CIPHER, this.#key, nonce);
    const sealed = Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
    return tokenOf(`${this.#start}/${sealed.toString('hex')}/${this.modules.clock.now()}`);
  }

  /** Undefined for none. Faults: api.invalid. */
  open(token: string): Position | undefined {
    const key = keyOfToken(token, FIELD);
    if (key === undefined) return undefined;
    const [, start, sealed, atMs] = /^([0-9a-f]{12})\/([0-9a-f]{72})\/(\d{1,15})$/.exec(key) ?? [];
    if (start === undefined || sealed === undefined) throw none();
    return { stored: start === this.#start ? this.#opened(Buffer.from(sealed, 'hex')) : undefined, atMs: Number(atMs) };
  }

  #opened(sealed: Buffer): number {
    const end = NONCE + NUMBER;
    const decipher = createDecipheriv(CIPHER, this.#key, sealed.subarray(0, NONCE), { authTagLength: TAG });
    decipher.setAuthTag(sealed.subarray(end));
    const plain = decipher.update(sealed.subarray(NONCE, end));
    try {
      decipher.final();
    } catch {
      throw none();
    }
    return plain.readDoubleBE();
  }
}

const none = () => invalid(FIELD, 'is not a position of this service');
