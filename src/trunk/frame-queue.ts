// The sending half of a trunk, the same at both ends: frames wait in three lanes and leave in the order CONTROL, LIVE,
// BACKFILL, many in one message per turn of the event loop. What waits, waits here and not in the transport, so that
// a live frame overtakes any backlog. Bounded by what the senders were granted (windows, credit), not by this queue.
import { Lane } from '../../gen/occmesh/link/v1/link.js';
import { type Frame, TrunkFrames } from '../../gen/occmesh/trunk/v1/trunk.js';

/** Where whole messages go. A gRPC stream, or a test. */
export interface MessageSink {
  write(message: Uint8Array): void;
  /** Bytes written that the transport still holds. */
  readonly bufferedBytes: number;
  /** Resolves when the transport has room again, or is gone. */
  drained(): Promise<void>;
}

/** One message carries about this much, and no more than one frame beyond it. */
export const MESSAGE_BYTES = 64 * 1024;
/** The transport is given no more than this ahead; everything else can still be overtaken. */
const TRANSPORT_AHEAD = 256 * 1024;
/** What a frame costs beside its payload. */
const FRAME_OVERHEAD = 12;

/** Whose frames wait, where somebody wants to know how many bytes that is. */
export interface FrameOwner {
  queuedBytes: number;
}

interface Waiting {
  readonly frame: Frame;
  readonly bytes: number;
  readonly owner: FrameOwner | undefined;
}

/** A queue that does not copy itself at every shift. */
class Lineup {
  #items: (Waiting | undefined)[] = [];
  #head = 0;

  push(item: Waiting): void {
    this.#items.push(item);
  }

  shift(): Waiting | undefined {
    const item = this.#items[this.#head];
    if (!item) return undefined;
    this.#items[this.#head++] = undefined;
    if (this.#head > 1_024 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }
}

export class FrameQueue {
  readonly #lanes: readonly [Lineup, Lineup, Lineup] = [new Lineup(), new Lineup(), new Lineup()];
  #queuedBytes = 0;
  #queuedFrames = 0;
  #scheduled = false;
  #closed = false;
  #messages = 0;
  #frames = 0;

  /** `onStall` hears of each wait for the transport. */
  constructor(
    private readonly sink: MessageSink,
    private readonly onStall: () => void = () => undefined,
  ) {}

  /** Payload bytes that wait here. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** Frames that wait here. */
  get queuedFrames(): number {
    return this.#queuedFrames;
  }

  /** How many messages and frames have left: their ratio is the coalescing. */
  get counts(): { readonly messages: number; readonly frames: number } {
    return { messages: this.#messages, frames: this.#frames };
  }

  push(frame: Frame, lane: Lane, payloadBytes = 0, owner?: FrameOwner): void {
    if (this.#closed) return;
    const bytes = payloadBytes + FRAME_OVERHEAD;
    this.#queuedBytes += bytes;
    this.#queuedFrames += 1;
    if (owner) owner.queuedBytes += bytes;
    this.#lane(lane).push({ frame, bytes, owner });
    this.#schedule();
  }

  /** Sends what waits, as far as the transport takes it, and nothing later. */
  close(): void {
    while (this.#queuedBytes > 0 && this.sink.bufferedBytes < TRANSPORT_AHEAD) this.#sendOne();
    this.#closed = true;
  }

  #lane(lane: Lane): Lineup {
    if (lane === Lane.CONTROL) return this.#lanes[0];
    return lane === Lane.LIVE ? this.#lanes[1] : this.#lanes[2];
  }

  #schedule(): void {
    if (this.#scheduled || this.#closed) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#pump();
    });
  }

  #pump(): void {
    while (!this.#closed && this.#queuedBytes > 0) {
      if (this.sink.bufferedBytes >= TRANSPORT_AHEAD) {
        this.#scheduled = true;
        this.onStall();
        // Through a turn of the loop: a transport that is gone says "drained" at once, and for ever.
        void this.sink.drained().then(() => {
          this.#scheduled = false;
          this.#schedule();
        });
        return;
      }
      this.#sendOne();
    }
  }

  #sendOne(): void {
    const frames: Frame[] = [];
    let bytes = 0;
    for (const lane of this.#lanes) {
      while (bytes < MESSAGE_BYTES) {
        const next = lane.shift();
        if (!next) break;
        frames.push(next.frame);
        bytes += next.bytes;
        if (next.owner) next.owner.queuedBytes -= next.bytes;
      }
    }
    this.#queuedBytes -= bytes;
    this.#queuedFrames -= frames.length;
    this.#messages += 1;
    this.#frames += frames.length;
    this.sink.write(TrunkFrames.encode({ frames }).finish());
  }
}
