// Comparing logs that two machines have written with what the cloud holds of them, while a session is up: nothing more
// of such a log is sent, what is on its way is waited for, then the digests are asked for, and only with all of them at
// hand it is decided what goes on under another log.
import type { DigestAnswer, DigestRequest, FlushDigest } from '../../gen/occmesh/link/v1/link.js';
import type { Reconciler } from './reconcile.js';

export interface ComparisonsModules {
  readonly reconciler: Pick<Reconciler, 'questions' | 'compared'>;
  /** Whether something of the log has been sent that the cloud has not answered. */
  readonly isInFlight: (log: Buffer) => boolean;
  readonly ask: (request: DigestRequest) => void;
  readonly suspend: (log: Buffer) => void;
  readonly resume: (log: Buffer) => void;
}

interface Comparison {
  /** Answers that are still to come; undefined until the questions have been asked. */
  outstanding: number | undefined;
  readonly digests: FlushDigest[];
}

export class Comparisons {
  readonly #running = new Map<string, Comparison>();

  constructor(private readonly modules: ComparisonsModules) {}

  /** The log has parted. To be called again whenever that is noticed again. */
  async begin(log: Buffer): Promise<void> {
    const name = log.toString('hex');
    if (!this.#running.has(name)) {
      this.#running.set(name, { outstanding: undefined, digests: [] });
      this.modules.suspend(log);
    }
    await this.settled(log);
  }

  /** Something of the log has been answered: perhaps it was the last that was waited for. */
  async settled(log: Buffer): Promise<void> {
    const { reconciler, isInFlight, ask } = this.modules;
    const comparison = this.#running.get(log.toString('hex'));
    // The cloud's digests say nothing of a batch that they have overtaken.
    if (!comparison || comparison.outstanding !== undefined || isInFlight(log)) return;
    comparison.outstanding = Number.POSITIVE_INFINITY;
    const questions = await reconciler.questions(log);
    comparison.outstanding = questions.length;
    if (questions.length === 0) this.#end(log);
    for (const range of questions) ask({ log, range });
  }

  /** The cloud's answer to one question. */
  async answered({ log: id, digests }: DigestAnswer): Promise<void> {
    const log = Buffer.from(id);
    const comparison = this.#running.get(log.toString('hex'));
    if (comparison?.outstanding === undefined) return;
    comparison.digests.push(...digests);
    comparison.outstanding -= 1;
    if (comparison.outstanding > 0) return;
    await this.modules.reconciler.compared(log, comparison.digests);
    this.#end(log);
  }

  #end(log: Buffer): void {
    this.#running.delete(log.toString('hex'));
    this.modules.resume(log);
  }
}
