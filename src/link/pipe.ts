// The carrier as a session sees it: something that takes serialised envelopes and brings others. A direct gRPC stream,
// a channel of a trunk and an in-memory pair (tests) are all Pipes. No protocol knowledge here.
import type { Lane } from '../../gen/occmesh/link/v1/link.js';
import type { CloseCode } from '../../gen/occmesh/trunk/v1/trunk.js';

/** Why a pipe ended, on the wire and in words. */
export interface Ending {
  readonly code: CloseCode;
  readonly message: string;
  /** The other side asks not to come back sooner; 0 when it does not matter. */
  readonly retryAfterMs: number;
}

export const ending = (code: CloseCode, message: string, retryAfterMs = 0): Ending => ({ code, message, retryAfterMs });

export interface PipeHandlers {
  /** One serialised envelope has come. */
  message(envelope: Uint8Array): void;
  /** The pipe has ended; called exactly once, also after close(). Nothing comes afterwards. */
  closed(why: Ending): void;
}

export interface Pipe {
  /** Called once, before anything is sent. What came before is delivered then. */
  listen(handlers: PipeHandlers): void;
  /** Hands one serialised envelope to the carrier. Ignored after the end. */
  send(envelope: Uint8Array, lane: Lane): void;
  /** Bytes handed over that the carrier still holds. */
  readonly queuedBytes: number;
  /** Resolves when queuedBytes is below the carrier's low mark, or the pipe has ended. */
  drained(): Promise<void>;
  /** Ends both directions; what was sent before is still delivered where the carrier can. */
  close(why: Ending): void;
}
