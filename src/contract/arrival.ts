// A message on its way in. grpc-js keeps what has come of it until the rest has, so it is memory that the sender has of
// us: bounded here is how large it may be, in how many pieces it may come, and how long it may take.
import type { Clock, Timer } from '../kernel/clock.js';
import type { Duration } from '../kernel/duration.js';

/** A piece takes some 200 bytes however short it is; so pieces are this long on average, but for the first few. */
const PIECE_BYTES = 512;
const SHORT_PIECES = 64;
/** The last piece of a message may bring so much of the next one: an HTTP/2 frame is no longer. */
const MOST_AHEAD = 16 * 1_024 + 5;

export interface ArrivalLimits {
  readonly messageBytes: number;
  /** From the beginning of the call, or from the message before; undefined: it may take any time. */
  readonly within: Duration | undefined;
}

export class Arrival {
  #bytes = 0;
  #pieces = 0;
  #timer: Timer | undefined;

  /** `onOver` is told once which limit was passed. */
  constructor(
    private readonly limits: ArrivalLimits,
    private readonly clock: Clock,
    private readonly onOver: (what: string) => void,
  ) {
    this.#arm();
  }

  /** A piece of the message has come. */
  piece(bytes: number): void {
    const { messageBytes } = this.limits;
    this.#bytes += bytes;
    this.#pieces += 1;
    if (this.#bytes > messageBytes + MOST_AHEAD) this.#over(`a message of more than ${messageBytes} bytes`);
    else if (this.#pieces > SHORT_PIECES + messageBytes / PIECE_BYTES) this.#over('a message in too many pieces');
  }

  /** The message is whole. */
  whole(): void {
    this.#bytes = 0;
    this.#pieces = 0;
    this.#arm();
  }

  /** Nothing more will come, or nothing more counts. */
  end(): void {
    this.#timer?.disarm();
    this.#timer = undefined;
  }

  #arm(): void {
    this.#timer?.disarm();
    const { within } = this.limits;
    if (within !== undefined) this.#timer = this.clock.after(within, () => this.#over('no whole message in time'));
  }

  #over(what: string): void {
    this.end();
    this.onOver(what);
  }
}
