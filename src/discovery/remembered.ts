// The connectors that worked before, best first, in a small JSON file of the data directory:
//   {"version":1,"connectors":[{"host":"192.0.2.10","port":11000,"machineId":"…"}, …]}
// It is replaced as a whole and durably on every change. Losing it costs one search, so nothing here is fatal: a file
// that cannot be understood is set aside, one that cannot be written is logged.
import { readFile, rename } from 'node:fs/promises';
import { defined } from '../kernel/defined.js';
import { writeFileDurably } from '../kernel/durable-file.js';
import { toError } from '../kernel/fault.js';
import type { Logger } from '../kernel/log.js';
import { Serial } from '../kernel/serial.js';
import { systemCode } from '../kernel/system-error.js';
import { type ConnectorHint, formatAddress, parseAddress } from './hint.js';

/** How many connectors are remembered. */
export const MAX_REMEMBERED = 8;
/** A file with 8 entries has about 1 KiB. */
const MAX_FILE_BYTES = 64 * 1_024;

export class RememberedConnectors {
  readonly #serial = new Serial();
  #hints: readonly ConnectorHint[];

  private constructor(
    private readonly path: string,
    private readonly log: Logger,
    hints: readonly ConnectorHint[],
  ) {
    this.#hints = hints;
  }

  /** Reads the file; a missing one is an empty one. Never rejects. */
  static async open(path: string, log: Logger): Promise<RememberedConnectors> {
    return new RememberedConnectors(path, log, await load(path, log));
  }

  /** The last good one first. */
  get hints(): readonly ConnectorHint[] {
    return this.#hints;
  }

  /** Puts one in front; the oldest beyond 8 is forgotten. Resolves when that is durable, or when the failure is logged. */
  async add(hint: ConnectorHint): Promise<void> {
    const known = this.#hints[0];
    if (known && same(known, hint) && known.machineId === hint.machineId) return;
    const others = this.#hints.filter((other) => !same(other, hint));
    await this.#replace([{ ...hint, source: 'remembered' as const }, ...others].slice(0, MAX_REMEMBERED));
  }

  /** Forgets every address of a machine. */
  async remove(machineId: string): Promise<void> {
    const kept = this.#hints.filter((hint) => hint.machineId !== machineId);
    if (kept.length < this.#hints.length) await this.#replace(kept);
  }

  /** The list is changed at once, the file in order of the changes. */
  async #replace(hints: readonly ConnectorHint[]): Promise<void> {
    this.#hints = hints;
    await this.#serial.run(async () => {
      try {
        await writeFileDurably(this.path, serialise(hints));
      } catch (thrown) {
        this.log.warn({ file: this.path, err: toError(thrown) }, 'known connectors cannot be saved');
      }
    });
  }
}

const same = (a: ConnectorHint, b: ConnectorHint): boolean => formatAddress(a) === formatAddress(b);

function serialise(hints: readonly ConnectorHint[]): string {
  const connectors = hints.map(({ host, port, machineId }) => ({ host, port, machineId }));
  return `${JSON.stringify({ version: 1, connectors }, undefined, 2)}\n`;
}

async function load(path: string, log: Logger): Promise<ConnectorHint[]> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (thrown) {
    if (systemCode(thrown) !== 'ENOENT') {
      log.warn({ file: path, err: toError(thrown) }, 'known connectors cannot be read');
    }
    return [];
  }
  try {
    return parse(text);
  } catch (thrown) {
    await setAside(path, toError(thrown), log);
    return [];
  }
}

/** Throws at the first thing that is not as this program writes it. */
function parse(text: string): ConnectorHint[] {
  if (text.length > MAX_FILE_BYTES) throw new Error('the file is too large');
  const { version, connectors } = asRecord(JSON.parse(text));
  if (version !== 1 || !Array.isArray(connectors)) throw new Error('the file is not of version 1');
  return connectors.slice(0, MAX_REMEMBERED).map((entry: unknown) => {
    const { host, port, machineId } = asRecord(entry);
    if (typeof host !== 'string' || typeof port !== 'number') throw new Error('an entry has no host or port');
    if (machineId !== undefined && typeof machineId !== 'string') throw new Error('a machine id is not a text');
    const address = parseAddress(formatAddress({ host, port }));
    return { ...address, source: 'remembered', ...defined({ machineId }) };
  });
}

function asRecord(value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null) throw new Error('not an object');
  return value as Record<string, unknown>;
}

async function setAside(path: string, problem: Error, log: Logger): Promise<void> {
  const aside = `${path}.damaged`;
  try {
    await rename(path, aside);
    log.warn({ file: path, aside, err: problem }, 'the file of known connectors is damaged and was set aside');
  } catch (thrown) {
    log.warn({ file: path, err: toError(thrown) }, 'the file of known connectors is damaged and stays where it is');
  }
}
