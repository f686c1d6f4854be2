// Lifetimes. A Scope owns what was started inside it and ends it in reverse order; its signal is one node in the one
// tree of AbortSignals. Nothing in the program starts a timer, a socket or a loop that no scope owns.
import { toError } from './fault.js';

/** Whatever owns something. `stop` may be called twice, and on what never started. */
export interface Stoppable {
  stop(): Promise<void>;
}

type Ending = () => void | Promise<void>;

export class Scope implements Stoppable, AsyncDisposable {
  readonly #abort = new AbortController();
  readonly #endings: Ending[] = [];
  readonly #tasks = new Set<Promise<void>>();
  #stopping: Promise<void> | undefined;

  /** Aborted as soon as the scope begins to end; its reason is why. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Runs `ending` when the scope ends; the last one added runs first. */
  defer(ending: Ending): void {
    if (this.#stopping) throw new Error('this scope has already ended');
    this.#endings.push(ending);
  }

  /** Takes ownership: the thing is stopped when the scope ends. */
  own<T extends Stoppable>(thing: T): T {
    this.defer(() => thing.stop());
    return thing;
  }

  /** A scope that ends no later than this one. */
  child(): Scope {
    const child = new Scope();
    const forget = () => {
      const at = this.#endings.indexOf(ending);
      if (at >= 0) this.#endings.splice(at, 1);
    };
    const ending = () => child.stop(this.signal.reason);
    this.defer(ending);
    child.defer(forget);
    return child;
  }

  /** Runs a background task. It ends with the scope; if it fails first, `onFailure` is told (default: the scope ends). */
  run(task: (signal: AbortSignal) => Promise<void>, onFailure?: (error: Error) => void): void {
    if (this.#stopping) return;
    const running = task(this.signal)
      .catch((thrown) => {
        if (this.signal.aborted) return;
        if (onFailure) onFailure(toError(thrown));
        else void this.stop(toError(thrown));
      })
      .finally(() => this.#tasks.delete(running));
    this.#tasks.add(running);
  }

  /** Aborts the signal, runs the endings in reverse order, waits for all tasks. The first failure is thrown at the end. */
  stop(reason: unknown = new Error('stopped')): Promise<void> {
    this.#stopping ??= this.#end(reason);
    return this.#stopping;
  }

  async #end(reason: unknown): Promise<void> {
    // One turn later, so that stop() called by a task of this scope does not wait for that same task's caller.
    await Promise.resolve();
    this.#abort.abort(reason);
    const failures: unknown[] = [];
    for (let ending = this.#endings.pop(); ending; ending = this.#endings.pop()) {
      try {
        await ending();
      } catch (thrown) {
        failures.push(thrown);
      }
    }
    await Promise.allSettled(this.#tasks);
    if (failures.length > 0) throw failures[0];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}
