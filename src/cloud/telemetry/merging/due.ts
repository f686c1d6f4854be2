// Which logs have had enough stored for a merge, counted in memory as batches are stored. What is forgotten here is
// found at the next start of the cloud.
import type { OpenBatch } from '../../../telemetry/batch.js';
import type { HubKey } from '../ledger.js';
import { type Steps, sizeOf } from './plan.js';

/** Flushes of a log in which something has been stored. */
export interface Stored {
  readonly hub: HubKey;
  readonly log: Buffer;
  readonly first: number;
  readonly end: number;
}

interface Counted extends Stored {
  readonly readings: number;
  readonly sensors: number;
}

/** Logs that are counted; the one that has been waiting longest is forgotten first. */
const MOST_LOGS = 65_536;

export class Due {
  readonly #counting = new Map<string, Counted>();
  readonly #due = new Map<string, Counted>();
  #wake: () => void = () => undefined;

  constructor(private readonly steps: Steps) {}

  /** Takes in what was just stored. */
  stored(hub: HubKey, log: Buffer, batch: Pick<OpenBatch, 'header' | 'table'>): void {
    const name = Buffer.concat([hub.machine, log]).toString('latin1');
    const { firstFlush, flushCount, readingCount } = batch.header;
    const known = this.#due.get(name) ?? this.#counting.get(name);
    const counted: Counted = {
      hub,
      log,
      first: Math.min(firstFlush, known?.first ?? firstFlush),
      end: Math.max(firstFlush + flushCount, known?.end ?? 0),
      readings: readingCount + (known?.readings ?? 0),
      sensors: Math.max(batch.table().sensors.length, known?.sensors ?? 0),
    };
    if (counted.readings < sizeOf(this.steps[0], counted.sensors)) return remember(this.#counting, name, counted);
    this.#counting.delete(name);
    remember(this.#due, name, counted);
    this.#wake();
  }

  /** The log that has been due for longest, which is counted anew from now on; undefined when there is none. */
  take(): Stored | undefined {
    for (const [name, stored] of this.#due) {
      this.#due.delete(name);
      return stored;
    }
    return undefined;
  }

  /** Resolves when there is one, or when the signal is aborted. */
  async wait(signal: AbortSignal): Promise<void> {
    if (this.#due.size > 0 || signal.aborted) return;
    await new Promise<void>((resolve) => {
      const wake = () => {
        signal.removeEventListener('abort', wake);
        this.#wake = () => undefined;
        resolve();
      };
      this.#wake = wake;
      signal.addEventListener('abort', wake);
    });
  }
}

function remember(logs: Map<string, Counted>, name: string, counted: Counted): void {
  const [oldest] = logs.keys();
  if (oldest !== undefined && logs.size >= MOST_LOGS && !logs.has(name)) logs.delete(oldest);
  logs.set(name, counted);
}
