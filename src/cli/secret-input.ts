// Reading a secret from whoever runs the program. It stays in one Buffer, which the caller wipes: never a string, never
// an echo, and not in what a terminal scrolls back to.
import type { Readable } from 'node:stream';

/** Standard input: a terminal, or what is piped in. */
export interface SecretInput extends Readable {
  readonly isTTY?: boolean;
  setRawMode?(raw: boolean): unknown;
}

const ENTER = new Set([0x0a, 0x0d]);
const ERASE = new Set([0x08, 0x7f]);
const [CTRL_C, CTRL_D, CTRL_U] = [0x03, 0x04, 0x15];

/** See Terminal.readSecret. More than `limit` bytes give `limit`: the caller asks for one more than it takes. */
export function readSecret(
  input: SecretInput,
  output: { write(text: string): unknown },
  question: string,
  limit: number,
): Promise<Buffer | undefined> {
  return input.isTTY ? typed(input, output, question, limit) : piped(input, limit);
}

async function piped(input: SecretInput, limit: number): Promise<Buffer> {
  // Room for a line end.
  const secret = Buffer.alloc(limit + 2);
  let length = 0;
  for await (const chunk of input as AsyncIterable<Buffer>) {
    length += chunk.copy(secret, length);
    chunk.fill(0);
    if (length === secret.length) break;
  }
  if (secret[length - 1] === 0x0a) length -= secret[length - 2] === 0x0d ? 2 : 1;
  secret.fill(0, Math.min(length, limit));
  return secret.subarray(0, Math.min(length, limit));
}

async function typed(
  input: SecretInput,
  output: { write(text: string): unknown },
  question: string,
  limit: number,
): Promise<Buffer | undefined> {
  const line = new Line(limit);
  // First, so that nothing typed at once is echoed.
  input.setRawMode?.(true);
  output.write(question);
  try {
    return await new Promise<Buffer | undefined>((resolve, reject) => {
      input.on('data', (keys: Buffer) => {
        const ended = line.type(keys);
        keys.fill(0);
        if (ended === 'entered') resolve(line.secret);
        if (ended === 'given up') resolve(undefined);
      });
      input.once('end', () => resolve(undefined));
      input.once('error', reject);
    });
  } finally {
    input.setRawMode?.(false);
    input.removeAllListeners('data').pause();
    output.write('\n');
  }
}

/** What has been typed so far. */
class Line {
  readonly #bytes: Buffer;
  #length = 0;

  constructor(limit: number) {
    this.#bytes = Buffer.alloc(limit);
  }

  get secret(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  type(keys: Buffer): 'entered' | 'given up' | undefined {
    for (const key of keys) {
      if (ENTER.has(key)) return 'entered';
      if (key === CTRL_C || (key === CTRL_D && this.#length === 0)) {
        this.#cut(0);
        return 'given up';
      }
      if (key === CTRL_D) return 'entered';
      if (ERASE.has(key)) this.#cut(this.#startOfLast());
      else if (key === CTRL_U) this.#cut(0);
      else if (this.#length < this.#bytes.length) this.#bytes[this.#length++] = key;
    }
    return undefined;
  }

  /** Where the last character begins: in UTF-8 it may have several bytes. */
  #startOfLast(): number {
    let start = Math.max(0, this.#length - 1);
    while (start > 0 && ((this.#bytes[start] ?? 0) & 0xc0) === 0x80) start -= 1;
    return start;
  }

  #cut(length: number): void {
    this.#bytes.fill(0, length);
    this.#length = length;
  }
}
