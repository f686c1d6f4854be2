// What the cloud writes down of a session while it lasts: how far the hub's logs reach, that it has the Welcome, when it was
// heard last.
import type { SessionRecord } from '../../../gen/occmesh/store/v1/store.js';
import { keep } from '../../kernel/bytes.js';
import { describe } from '../../kernel/fault.js';
import type { Admitted } from './admission.js';
import type { HubHost } from './hub-host.js';
import type { SessionServices } from './services.js';
import { putSessionRecord } from './session-record.js';

/** Announced tails that are remembered of one hub. */
const MOST_TAILS = 256;

export class SessionNotes {
  #confirmed = false;

  constructor(
    private readonly services: Pick<SessionServices, 'store' | 'sessions'>,
    private readonly host: HubHost,
    private readonly admitted: Admitted,
  ) {}

  /** Written down only where the ledger does not say as much already: that is when somebody could miss it. */
  announce(log: Uint8Array, next: number): void {
    const { ledger, record } = this.admitted;
    ledger.announce(log, next);
    const written = record.announced.find((tail) => isOf(tail, log))?.next ?? 0;
    if (next <= Math.max(written, ledger.look(log).held.end)) return;
    const isMissing = (tail: { log: Uint8Array; next: number }) => ledger.look(tail.log).held.end < tail.next;
    const others = record.announced.filter((tail) => !isOf(tail, log) && isMissing(tail));
    this.write({ announced: [...others, { log: keep(log), next }].slice(-MOST_TAILS) });
  }

  /** A frame of this session is the hub's: it has the Welcome, and has written it down. */
  confirm(): void {
    if (this.#confirmed) return;
    this.#confirmed = true;
    this.write({ confirmedGeneration: this.admitted.record.issuedGeneration });
  }

  /** Not awaited: what it records is a help, not a promise. */
  write(change: Partial<SessionRecord>): void {
    const { services, host, admitted } = this;
    const record = { ...admitted.record, ...change };
    admitted.record = record;
    services.store
      .commit(() => (services.sessions.mayRemember(host) ? [putSessionRecord(host, record)] : undefined))
      .catch((thrown) => host.log.warn({ cause: describe(thrown) }, 'session record not written'));
  }
}

const isOf = (tail: { readonly log: Uint8Array }, log: Uint8Array): boolean => Buffer.compare(tail.log, log) === 0;
