// A carrier between a hub and the cloud that is under a test's control: it records whatever passes, and may drop, repeat,
// change, hold back, invent. Delivery is by microtasks, in order: virtual time does not move.
import type { Lane } from '../../gen/occmesh/link/v1/link.js';
import { CloseCode } from '../../gen/occmesh/trunk/v1/trunk.js';
import { type Ending, ending, type Pipe, type PipeHandlers } from '../../src/link/pipe.js';

export type Direction = 'up' | 'down';

export interface Passing {
  readonly direction: Direction;
  /** Its place among all of this direction, from 0. */
  readonly number: number;
  readonly bytes: Uint8Array;
}

/** What becomes of a message: the messages that are delivered in its place. */
export type Hook = (message: Passing) => readonly Uint8Array[];

class End implements Pipe {
  queuedBytes = 0;
  #handlers: PipeHandlers | undefined;
  #early: Uint8Array[] = [];
  #ended: Ending | undefined;

  constructor(
    private readonly pass: (envelope: Uint8Array) => void,
    private readonly passEnd: (why: Ending) => void,
  ) {}

  listen(handlers: PipeHandlers): void {
    this.#handlers = handlers;
    for (const envelope of this.#early.splice(0)) this.arrive(envelope);
    if (this.#ended) handlers.closed(this.#ended);
  }

  send(envelope: Uint8Array, _lane: Lane): void {
    if (!this.#ended) this.pass(envelope);
  }

  async drained(): Promise<void> {}

  close(why: Ending): void {
    if (this.#ended) return;
    this.passEnd(why);
    this.end(why);
  }

  arrive(envelope: Uint8Array): void {
    if (this.#ended) return;
    if (this.#handlers) this.#handlers.message(envelope);
    else this.#early.push(envelope);
  }

  end(why: Ending): void {
    if (this.#ended) return;
    this.#ended = why;
    this.#handlers?.closed(why);
  }
}

export class MemoryCarrier {
  readonly hub: Pipe & { queuedBytes: number };
  readonly cloud: Pipe;
  /** Everything that was handed over, before the hook. */
  readonly seen: Passing[] = [];
  /** Why each side was told that it is over. */
  readonly endings: { hub?: Ending; cloud?: Ending } = {};
  readonly #ends: Record<Direction, End>;
  readonly #counts: Record<Direction, number> = { up: 0, down: 0 };

  constructor(public hook: Hook = ({ bytes }) => [bytes]) {
    const hub = new End(
      (envelope) => this.#pass('up', envelope),
      (why) => this.#passEnd('up', why),
    );
    const cloud = new End(
      (envelope) => this.#pass('down', envelope),
      (why) => this.#passEnd('down', why),
    );
    this.hub = hub;
    this.cloud = cloud;
    this.#ends = { up: cloud, down: hub };
  }

  /** Delivers something as if the other side had sent it. */
  inject(direction: Direction, envelope: Uint8Array): void {
    const copy = Uint8Array.from(envelope);
    queueMicrotask(() => this.#ends[direction].arrive(copy));
  }

  /** The connection breaks; both sides notice. */
  cut(why: Ending = ending(CloseCode.GOING_AWAY, 'the connection broke')): void {
    this.#passEnd('up', why);
    this.#passEnd('down', why);
  }

  /** What has passed in one direction. */
  of(direction: Direction): Uint8Array[] {
    return this.seen.filter((message) => message.direction === direction).map(({ bytes }) => bytes);
  }

  #pass(direction: Direction, envelope: Uint8Array): void {
    // Like a real carrier: what arrives is another buffer than what was sent.
    const message = { direction, number: this.#counts[direction]++, bytes: Uint8Array.from(envelope) };
    this.seen.push(message);
    for (const delivered of this.hook(message)) this.inject(direction, delivered);
  }

  #passEnd(direction: Direction, why: Ending): void {
    this.endings[direction === 'up' ? 'cloud' : 'hub'] ??= why;
    queueMicrotask(() => this.#ends[direction].end(why));
  }
}
