// A record of what the hub reported durable, apart from its log: one JSON line per reading, appended after the flush is
// durable. For tests and demos that judge delivery; off unless a file is named.
import { closeSync, openSync, writeSync } from 'node:fs';
import type { Stoppable } from '../kernel/scope.js';
import type { DurableFlush } from '../wal/wal.js';

export class Journal implements Stoppable {
  #file: number | undefined;

  constructor(path: string) {
    this.#file = openSync(path, 'a', 0o600);
  }

  /** One write per flush, so that a kill leaves whole flushes. */
  record({ log, flush, readings }: DurableFlush): void {
    if (this.#file === undefined) return;
    const id = log.toString('hex');
    const lines = readings.map(({ sensor, takenAt, state, message, values }, position) =>
      JSON.stringify({ log: id, flush, position, sensor, takenAt, state, message, values }),
    );
    writeSync(this.#file, `${lines.join('\n')}\n`);
  }

  async stop(): Promise<void> {
    if (this.#file === undefined) return;
    closeSync(this.#file);
    this.#file = undefined;
  }
}
