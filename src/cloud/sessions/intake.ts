// Batches and gaps of one session on their way into the store, and what the hub is told of them: at most so many bytes at a
// time, LIVE within its window, BACKFILL within its credit.
import { Lane } from '../../../gen/occmesh/link/v1/link.js';
import type { Signed } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { CloseCode } from '../../../gen/occmesh/trunk/v1/trunk.js';
import { describe } from '../../kernel/fault.js';
import type { CloudSession } from '../../link/cloud-session.js';
import { LinkFault } from '../../link/fault.js';
import { ending } from '../../link/pipe.js';
import type { Verdict } from '../telemetry/ingest.js';
import { AckGatherer } from './acks.js';
import type { HubHost } from './hub-host.js';
import type { SessionServices } from './services.js';

/** Bytes of LIVE batches a hub may have unacknowledged. */
export const LIVE_WINDOW_BYTES: number = 256 * 1024;
/** A hub whose readings could not be stored comes back after so many milliseconds. */
const STORE_RETRY_MS = 5_000;

export class Intake {
  /** Of batches that have come and are not stored yet. */
  #liveBytes = 0;
  #session: CloudSession | undefined;
  readonly #acks = new AckGatherer((value) => this.#session?.send({ $case: 'ack', value }));

  constructor(
    private readonly services: Pick<SessionServices, 'credit' | 'ingest'>,
    private readonly host: HubHost,
  ) {}

  /** Batches are stored side by side: the next one is taken in while this one's commit is under way. Faults: link.*. */
  batch(session: CloudSession, signed: Signed, lane: Lane, bytes: number): undefined {
    this.#session = session;
    this.host.budget.spend('bytes', bytes);
    const over = this.#arrived(lane, bytes);
    this.services.ingest
      .batch(this.host, signed, lane)
      .then((verdict) => this.#judged(session, verdict))
      .catch((thrown) => this.#failed(session, thrown))
      .finally(over);
    return undefined;
  }

  async gap(session: CloudSession, signed: Signed): Promise<void> {
    const { budget } = this.host;
    budget.spend('gaps');
    const { log, firstFlush, flushCount, readingCount, reason } = await this.services.ingest.gap(this.host, signed);
    const range = { first: firstFlush, count: flushCount };
    budget.oddities.note({ ...range, readings: readingCount, reason }, 'gap recorded', 'warn');
    session.send({ $case: 'gapAck', value: { log, range } });
  }

  /** Counts bytes in; what is returned counts them out. Faults: link.exhausted, link.protocol. */
  #arrived(lane: Lane, bytes: number): () => void {
    const { credit } = this.services;
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
    if (!credit.arrived(this.host, bytes)) {
      throw new LinkFault('link.exhausted', 'more BACKFILL bytes than were granted');
    }
    return () => credit.stored(this.host, bytes);
  }

  #judged(session: CloudSession, { kind, batch }: Verdict): void {
    if (kind !== 'conflict') {
      this.#acks.add(batch);
      return;
    }
    const { log, first, count } = batch;
    const what = 'a batch contradicts what is held: two machines write this log';
    this.host.budget.oddities.note({ first, count }, what, 'error');
    session.send({ $case: 'conflict', value: { log, range: { first, count } } });
  }

  #failed(session: CloudSession, thrown: unknown): void {
    if (thrown instanceof LinkFault) {
      session.fail(thrown);
      return;
    }
    // The store's own listeners end every session when it has lost something; the hub keeps what was not acknowledged.
    this.host.log.error({ cause: describe(thrown) }, 'a batch could not be stored');
    session.close(ending(CloseCode.INTERNAL, 'the cloud cannot store readings now', STORE_RETRY_MS));
  }
}
