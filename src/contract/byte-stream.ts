// A stream of messages as bytes, the same at both ends of a call: counted, with backpressure that looks at bytes.
// grpc-js says "full" at 16 messages whatever their size, which is 1 KiB or 16 MiB; so what is written is counted here
// until HTTP/2 has taken it. Who makes streams: handlers.ts for servers, calls.ts for clients.
import type { ContractFault } from './fault.js';

/** write() returns false from here on. */
export const HIGH_MARK = 256 * 1024;
/** drained() resolves below this. */
export const LOW_MARK = 64 * 1024;

export interface ByteStream extends AsyncIterable<Buffer> {
  /** The other end, `192.0.2.1:5000`. */
  readonly peer: string;
  /** Bytes written that HTTP/2 has not taken yet. */
  readonly bufferedBytes: number;
  /** Resolves when the call is over, both ways: with what went wrong, or undefined when nothing did. Never rejects. */
  readonly closed: Promise<ContractFault | undefined>;
  /**
   * Sends one message. False when more than HIGH_MARK waits: then await drained() before the next, or memory grows
   * with every message. After the end, messages are dropped.
   */
  write(message: Uint8Array): boolean;
  /** Resolves when less than LOW_MARK waits, or the call is over. */
  drained(): Promise<void>;
  /** Calls `take` with every message. Resolves when the other side has said its last; rejects when the call failed. */
  forEach(take: (message: Buffer) => void): Promise<void>;
  /** Stops forEach, and soon the other side, until resume(). What the transport had already read stays in memory. */
  pause(): void;
  resume(): void;
  /** Nothing more will be written. On a server this ends the call with OK as soon as everything is sent. */
  end(): void;
  /** Ends the call both ways: a server sends the status of `why`, a client cancels. */
  close(why: Error): void;
}

/** What is used of the duplex streams of grpc-js; server's and client's are different types. */
export interface MessageDuplex {
  read(): Buffer | null;
  write(message: Uint8Array, taken: () => void): boolean;
  end(): unknown;
  pause(): unknown;
  resume(): unknown;
  on(event: 'end' | 'close' | 'readable', listener: () => void): unknown;
  on(event: 'data', listener: (message: Buffer) => void): unknown;
  off(event: 'readable', listener: () => void): unknown;
}

/** What differs between the two ends. */
export interface StreamEnd {
  readonly peer: () => string;
  /** Called once, by close(). */
  readonly abort: (why: Error) => void;
  /** Whether what looks like the other side's last word is in truth its going away; finish() comes a moment later. */
  readonly wasReset: () => boolean;
}

export class DuplexByteStream implements ByteStream {
  readonly closed: Promise<ContractFault | undefined>;
  readonly #resolveClosed: (fault: ContractFault | undefined) => void;
  #buffered = 0;
  #over = false;
  #ended = false;
  #endSeen = false;
  #failure: Error | undefined;
  #drainWaiters: (() => void)[] = [];
  /** Whoever waits for the next message is woken by it, and by every kind of end. */
  #wake: () => void = () => {};

  constructor(
    private readonly duplex: MessageDuplex,
    private readonly side: StreamEnd,
  ) {
    let resolveClosed: (fault: ContractFault | undefined) => void = () => {};
    this.closed = new Promise((resolve) => {
      resolveClosed = resolve;
    });
    this.#resolveClosed = resolveClosed;
    duplex.on('end', () => {
      // Node cancels with an end and a reset right behind it; what came along with the end must be looked at first.
      setImmediate(() => {
        this.#endSeen = true;
        this.#wake();
      });
    });
    duplex.on('close', () => this.#wake());
  }

  get peer(): string {
    return this.side.peer();
  }

  get bufferedBytes(): number {
    return this.#buffered;
  }

  write(message: Uint8Array): boolean {
    if (this.#over || this.#ended) return false;
    const bytes = message.byteLength;
    this.#buffered += bytes;
    this.duplex.write(message, () => {
      if (this.#over) return;
      this.#buffered -= bytes;
      if (this.#buffered < LOW_MARK) this.#releaseDrained();
    });
    return this.#buffered < HIGH_MARK;
  }

  drained(): Promise<void> {
    if (this.#over || this.#buffered < LOW_MARK) return Promise.resolve();
    return new Promise((resolve) => this.#drainWaiters.push(resolve));
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer, void, void> {
    const onReadable = () => this.#wake();
    this.duplex.on('readable', onReadable);
    try {
      for (;;) {
        const message = this.duplex.read();
        if (message !== null) yield message;
        else if (this.#failure) throw this.#failure;
        else if (this.#readToTheEnd) return;
        else {
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
        }
      }
    } finally {
      this.duplex.off('readable', onReadable);
    }
  }

  forEach(take: (message: Buffer) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = () => {
        if (this.#failure) reject(this.#failure);
        else if (this.#readToTheEnd) resolve();
      };
      this.#wake = settle;
      this.duplex.on('data', (message: Buffer) => {
        if (this.#failure) return;
        try {
          take(message);
        } catch (thrown) {
          // Thrown inside an event of grpc-js it would end the process.
          this.close(thrown instanceof Error ? thrown : new Error(String(thrown)));
        }
      });
      settle();
    });
  }

  pause(): void {
    this.duplex.pause();
  }

  resume(): void {
    this.duplex.resume();
  }

  end(): void {
    if (this.#over || this.#ended) return;
    this.#ended = true;
    this.duplex.end();
  }

  close(why: Error): void {
    if (this.#over || this.#failure) return;
    this.#failure = why;
    this.#ended = true;
    this.side.abort(why);
    this.#wake();
  }

  /** For the owner: the call is over. Idempotent. */
  finish(fault?: ContractFault): void {
    if (this.#over) return;
    this.#over = true;
    this.#buffered = 0;
    if (fault) this.#failure ??= fault;
    this.#releaseDrained();
    this.#resolveClosed(fault);
    this.#wake();
  }

  get #readToTheEnd(): boolean {
    return this.#over || (this.#endSeen && !this.side.wasReset());
  }

  #releaseDrained(): void {
    const waiters = this.#drainWaiters;
    this.#drainWaiters = [];
    for (const release of waiters) release();
  }
}
