// Questions of a hub for the digests of what is held, answered one after another and in the hub's own time: a question is
// short, and its answer may take everything that the hub has ever sent to be unfolded and hashed. Who asks for much waits
// for it, without losing its session; nothing else of the session waits.
import type { DigestAnswer, DigestRequest } from '../../../gen/occmesh/link/v1/link.js';
import { keep } from '../../kernel/bytes.js';
import { LinkFault } from '../../link/fault.js';

/** A hub asks all that it has to ask at once, a question for each range that it still has. */
const MOST_WAITING = 4_096;

export interface QuestionsModules {
  /** Stops when the signal is aborted. */
  readonly answer: (request: DigestRequest, signal: AbortSignal) => Promise<DigestAnswer>;
  readonly send: (answer: DigestAnswer) => void;
  readonly onFailure: (thrown: unknown) => void;
}

export class Questions {
  readonly #waiting: DigestRequest[] = [];
  readonly #over = new AbortController();
  #busy = false;

  constructor(private readonly modules: QuestionsModules) {}

  /** Faults: link.exhausted. */
  ask({ log, range }: DigestRequest): void {
    if (this.#waiting.length >= MOST_WAITING) throw new LinkFault('link.exhausted', 'too many digest requests at once');
    // A copy: what was decoded is a part of the whole message in which it came, and would keep that.
    this.#waiting.push({ log: keep(log), range });
    if (!this.#busy) void this.#work();
  }

  /** The session is over. */
  end(): void {
    this.#waiting.length = 0;
    this.#over.abort();
  }

  async #work(): Promise<void> {
    const { answer, send, onFailure } = this.modules;
    const { signal } = this.#over;
    this.#busy = true;
    try {
      for (let next = this.#waiting.shift(); next; next = this.#waiting.shift()) send(await answer(next, signal));
    } catch (thrown) {
      if (!signal.aborted) onFailure(thrown);
    } finally {
      this.#busy = false;
    }
  }
}
