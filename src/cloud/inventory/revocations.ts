// What was revoked, in a file of its own that a restored backup does not take back.
//
// revoked.log: one line for each revocation, only ever appended. A line is: the first 8 hex digits of the SHA-256 of the
// rest, a space, JSON (schema below), a line feed. A line counts once it is fsynced; nothing is told to anybody before.
// A last line without its line feed was cut short by a crash, was never told to anybody, and is removed. Any other line
// that does not check out means that revocations may be missing: the cloud then refuses to start.
import { createHash } from 'node:crypto';
import { type FileHandle, open, readFile } from 'node:fs/promises';
import { z } from 'zod';
import { writeFileDurably } from '../../kernel/durable-file.js';
import type { Logger } from '../../kernel/log.js';
import type { Stoppable } from '../../kernel/scope.js';
import { Serial } from '../../kernel/serial.js';
import { undefinedIfMissing } from '../../kernel/system-error.js';
import { InventoryFault } from '../records/faults.js';

const schema = z.union([
  z.object({
    v: z.literal(1),
    atMs: z.int(),
    machineId: z.string(),
    customerId: z.string(),
    role: z.enum(['hub', 'connector']),
    /** Hex. */
    keyIds: z.array(z.string()),
  }),
  z.object({
    v: z.literal(1),
    atMs: z.int(),
    /** Keys that this machine had before it enrolled anew; hex. */
    replacedOf: z.string(),
    customerId: z.string(),
    role: z.enum(['hub', 'connector']),
    keyIds: z.array(z.string()),
  }),
  z.object({ v: z.literal(1), atMs: z.int(), tokenId: z.string() }),
]);

/** A machine with all its keys, keys that a machine has replaced, or a token. */
export type Revocation = z.infer<typeof schema>;
export type MachineRevocation = Extract<Revocation, { machineId: string }>;
export type KeyRevocation = Extract<Revocation, { replacedOf: string }>;

export class Revocations implements Stoppable {
  readonly #machines = new Map<string, MachineRevocation>();
  readonly #replaced: KeyRevocation[] = [];
  readonly #tokens = new Set<string>();
  readonly #keys = new Set<string>();
  readonly #serial = new Serial();
  #stopped = false;

  private constructor(
    private readonly file: FileHandle,
    private length: number,
  ) {}

  /** Opens the file, or makes it. Faults: inventory.damaged; the system's errors. */
  static async open(path: string, log: Logger): Promise<Revocations> {
    let content = await readFile(path).catch(undefinedIfMissing);
    if (content === undefined) {
      await writeFileDurably(path, '');
      content = Buffer.alloc(0);
    }
    const whole = content.lastIndexOf(0x0a) + 1;
    const entries = content.subarray(0, whole).toString().split('\n').slice(0, -1).map(read);
    const file = await open(path, 'a');
    if (whole < content.length) {
      log.warn({ path, bytes: content.length - whole }, 'the revocation log ended in half a line, which is removed');
      await file.truncate(whole);
      await file.sync();
    }
    const revocations = new Revocations(file, whole);
    for (const entry of entries) revocations.#remember(entry);
    return revocations;
  }

  /** In force, and durable, when the promise resolves. What is revoked already is not written again. */
  add(entries: readonly Revocation[]): Promise<void> {
    return this.#serial.run(async () => {
      const fresh = entries.filter((entry) => !this.#covers(entry));
      if (fresh.length === 0) return;
      const lines = Buffer.from(fresh.map(line).join(''));
      // Takes back what an earlier failed write may have left. Costs nothing otherwise.
      await this.file.truncate(this.length);
      await this.file.appendFile(lines);
      await this.file.sync();
      this.length += lines.length;
      for (const entry of fresh) this.#remember(entry);
    });
  }

  hasKey(keyId: Uint8Array): boolean {
    return this.#keys.has(Buffer.from(keyId).toString('hex'));
  }

  hasMachine(id: string): boolean {
    return this.#machines.has(id);
  }

  hasToken(id: string): boolean {
    return this.#tokens.has(id);
  }

  machines(): Iterable<MachineRevocation> {
    return this.#machines.values();
  }

  /** Every key that is revoked, with whose it was. */
  *keys(): Iterable<Pick<KeyRevocation, 'customerId' | 'role' | 'keyIds'>> {
    yield* this.#machines.values();
    yield* this.#replaced;
  }

  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    await this.#serial.idle();
    await this.file.close();
  }

  #covers(entry: Revocation): boolean {
    if ('tokenId' in entry) return this.#tokens.has(entry.tokenId);
    if ('replacedOf' in entry) return entry.keyIds.every((keyId) => this.#keys.has(keyId));
    return this.#machines.has(entry.machineId) && entry.keyIds.every((keyId) => this.#keys.has(keyId));
  }

  #remember(entry: Revocation): void {
    if ('tokenId' in entry) {
      this.#tokens.add(entry.tokenId);
      return;
    }
    if ('replacedOf' in entry) {
      this.#replaced.push(entry);
      for (const keyId of entry.keyIds) this.#keys.add(keyId);
      return;
    }
    const keyIds = [...new Set([...(this.#machines.get(entry.machineId)?.keyIds ?? []), ...entry.keyIds])];
    this.#machines.set(entry.machineId, { ...entry, keyIds });
    for (const keyId of entry.keyIds) this.#keys.add(keyId);
  }
}

const checksum = (json: string): string => createHash('sha256').update(json).digest('hex').slice(0, 8);

function line(entry: Revocation): string {
  const json = JSON.stringify(entry);
  return `${checksum(json)} ${json}\n`;
}

function read(text: string, index: number): Revocation {
  const json = text.slice(9);
  try {
    if (text[8] === ' ' && text.slice(0, 8) === checksum(json)) return schema.parse(JSON.parse(json));
  } catch (cause) {
    throw broken(index, cause);
  }
  throw broken(index, undefined);
}

function broken(index: number, cause: unknown): InventoryFault {
  return new InventoryFault('inventory.damaged', `line ${index + 1} of the revocation log cannot be read`, {
    cause,
    permanent: true,
    advice: 'Put the file back from a copy, or remove that line and retire again whatever it stood for.',
  });
}
