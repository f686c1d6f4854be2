// What the `occ … watch` commands have in common: what comes is shown until somebody ends it. A lost connection is made
// anew, and names are asked for as they are needed.
import { ContractFault } from '../client/index.js';
import { sleep } from '../kernel/clock.js';
import { type Duration, seconds } from '../kernel/duration.js';
import { backoff, RECONNECT } from '../kernel/retry.js';
import { printable } from '../kernel/text.js';
import { type Names, namesOf } from './names.js';
import type { Session } from './operator.js';
import type { Terminal } from './terminal.js';

/** Names are asked for anew at most this often. */
const REFRESH: Duration = seconds(5);

/** Shows what `open` brings; after a lost connection it is called again. */
export async function watching<M>(
  terminal: Terminal,
  open: () => AsyncIterable<M>,
  show: (message: M) => Promise<void>,
): Promise<undefined> {
  try {
    for await (const message of messages(terminal, open)) await show(message);
  } catch (thrown) {
    // Ended by the one who started it: that is what was wanted.
    if (!terminal.interrupted.aborted) throw thrown;
  }
  return undefined;
}

/** Over lost connections. What fails before the first answer is not tried again. */
async function* messages<M>(terminal: Terminal, open: () => AsyncIterable<M>): AsyncGenerator<M> {
  let begun = false;
  let waits = backoff(RECONNECT, terminal.random);
  for (;;) {
    try {
      for await (const message of open()) {
        begun = true;
        waits = backoff(RECONNECT, terminal.random);
        yield message;
      }
    } catch (thrown) {
      if (!isPassing(thrown) || !begun || terminal.interrupted.aborted) throw thrown;
      terminal.stderr.write(`${printable(thrown.message)}; trying again\n`);
    }
    await sleep(terminal.clock, waits.next().value, terminal.interrupted);
  }
}

export class LiveNames {
  #names: Names = namesOf({});
  #sensors: ReadonlySet<string> = new Set();
  #askedAt: number | undefined;

  constructor(private readonly session: Session) {}

  /** As they are now; where only those of one sensor matter, as they were when it was first seen. */
  async current(sensorId?: string): Promise<Names> {
    const now = this.session.terminal.clock.monotonic();
    const isFresh = this.#askedAt !== undefined && now - this.#askedAt < REFRESH;
    if (isFresh || (sensorId !== undefined && this.#sensors.has(sensorId))) return this.#names;
    this.#askedAt = now;
    try {
      const [customers, machines, sensors] = await Promise.all([
        this.session.customers(),
        this.session.machines({ includeRetired: true }),
        this.session.sensors(),
      ]);
      this.#names = namesOf({ customers, machines, sensors });
      this.#sensors = new Set(sensors.map(({ id }) => id));
    } catch (thrown) {
      // Old names are good enough while the connection is lost.
      if (!isPassing(thrown) || this.session.terminal.interrupted.aborted) throw thrown;
    }
    return this.#names;
  }
}

const isPassing = (thrown: unknown): thrown is ContractFault => thrown instanceof ContractFault && !thrown.permanent;
