// Commands that wait for their results. Never sent twice: when the session ends first, the outcome is unknown.
import { type Command, Outcome, type Result } from '../../../gen/occmesh/link/v1/link.js';
import { State } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { LazyMap } from '../../kernel/lazy-map.js';

/** Of one hub. Whoever gives it more has not waited for the answers. */
const MOST_WAITING = 64;

export class PendingCommands {
  readonly #waiting = new LazyMap<number, (result: Result) => void>();
  #next = 1;

  /** Hands the command to `send` and resolves with what became of it; never rejects. */
  run(action: NonNullable<Command['action']>, send: (command: Command) => void): Promise<Result> {
    if (this.#waiting.size >= MOST_WAITING) {
      const message = `not sent: ${MOST_WAITING} commands wait for this hub already`;
      return Promise.resolve({ commandId: 0, outcome: Outcome.FAILED, message, state: State.UNSPECIFIED });
    }
    const id = this.#next++;
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      send({ id, action });
    });
  }

  /** A result has come; one that nobody waits for is ignored. */
  answer(result: Result): void {
    this.#waiting.get(result.commandId)?.(result);
    this.#waiting.delete(result.commandId);
  }

  /** The session is over. */
  end(): void {
    for (const [commandId, resolve] of this.#waiting) {
      resolve({
        commandId,
        outcome: Outcome.UNKNOWN,
        message: 'the session ended first',
        state: State.UNSPECIFIED,
      });
    }
    this.#waiting.clear();
  }
}
