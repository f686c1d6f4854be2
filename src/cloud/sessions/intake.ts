// How many bytes of batches one session may have on their way into the store: LIVE within its window, BACKFILL within its
// credit.
import { Lane } from '../../../gen/occmesh/link/v1/link.js';
import { LinkFault } from '../../link/fault.js';
import type { CreditBank, Debtor } from './credit.js';

/** Bytes of LIVE batches a hub may have unacknowledged. */
export const LIVE_WINDOW_BYTES: number = 256 * 1024;

export class Intake {
  /** Of batches that have come and are not stored yet. */
  #liveBytes = 0;

  constructor(
    private readonly credit: CreditBank,
    private readonly debtor: Debtor,
  ) {}

  /** Counts bytes in; what is returned counts them out. Faults: link.exhausted, link.protocol. */
  arrived(lane: Lane, bytes: number): () => void {
    const { credit, debtor } = this;
    if (lane === Lane.LIVE) {
      // The hub counts until the acknowledgement has come, this only until the batch is stored: a hub that keeps to its
      // window is far below it. One more window for a carrier that delivers twice.
      if (this.#liveBytes + bytes > 2 * LIVE_WINDOW_BYTES) {
        throw new LinkFault('link.exhausted', 'more LIVE bytes than the window allows');
      }
      this.#liveBytes += bytes;
      return () => {
        this.#liveBytes -= bytes;
      };
    }
    if (lane !== Lane.BACKFILL) throw new LinkFault('link.protocol', 'a batch outside LIVE and BACKFILL');
    if (!credit.arrived(debtor, bytes)) throw new LinkFault('link.exhausted', 'more BACKFILL bytes than were granted');
    return () => credit.stored(debtor, bytes);
  }
}
