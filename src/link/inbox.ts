// Incoming envelopes in order: handling may be asynchronous, the next waits for it. Bounded in bytes, since whoever
// sends them decides how many.
import { LinkFault } from './fault.js';

export class Inbox {
  readonly #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  /** One is being handled. A carrier may deliver the next from inside of that: it waits like any other. */
  #busy = false;
  #closed = false;

  constructor(
    private readonly handle: (envelope: Uint8Array) => Promise<void> | undefined,
    private readonly fail: (thrown: unknown) => void,
    private readonly maxBytes: number,
  ) {}

  push(envelope: Uint8Array): void {
    if (this.#closed) return;
    if (!this.#busy) {
      this.#take(envelope);
      return;
    }
    this.#waitingBytes += envelope.length;
    if (this.#waitingBytes > this.maxBytes) {
      this.#end(new LinkFault('link.exhausted', `more than ${this.maxBytes} bytes sent ahead`));
      return;
    }
    this.#waiting.push(envelope);
  }

  close(): void {
    this.#closed = true;
    this.#waiting.length = 0;
    this.#waitingBytes = 0;
  }

  // Most frames are handled without waiting for anything: they cost no promise.
  #take(first: Uint8Array | undefined): void {
    this.#busy = true;
    for (let next = first; next && !this.#closed; next = this.#shift()) {
      try {
        const pending = this.handle(next);
        if (!pending) continue;
        pending.then(
          () => this.#take(this.#shift()),
          (thrown) => this.#end(thrown),
        );
        return;
      } catch (thrown) {
        this.#end(thrown);
        return;
      }
    }
    this.#busy = false;
  }

  #shift(): Uint8Array | undefined {
    const next = this.#waiting.shift();
    if (next) this.#waitingBytes -= next.length;
    return next;
  }

  #end(thrown: unknown): void {
    if (this.#closed) return;
    this.close();
    this.fail(thrown);
  }
}
