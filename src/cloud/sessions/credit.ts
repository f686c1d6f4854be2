// Credit for backlogs: how many bytes of BACKFILL may be on their way to the cloud, in all and per trunk. About one
// second of what was stored of late, so that a queue never holds a live reading up for longer; newest first is the
// hub's part.
import type { Clock } from '../../kernel/clock.js';

/** Bytes granted at a time to one hub. */
const GRANT = 256 * 1024;
const SMALLEST_BUDGET = 2 * 1024 * 1024;
const LARGEST_BUDGET = 64 * 1024 * 1024;
/** Weight of the newest second in the running mean of throughput. */
const NEWEST_WEIGHT = 0.3;

/** A session that may have a backlog. */
export interface Debtor {
  /** Which trunk carries it; its own name when direct. */
  readonly carrier: string;
  grant(bytes: number): void;
}

interface Account {
  /** Granted and not yet arrived. */
  outstanding: number;
  /** What the hub says it would send. */
  wanted: number;
}

export class CreditBank {
  readonly #accounts = new Map<Debtor, Account>();
  readonly #perCarrier = new Map<string, number>();
  #outstanding = 0;
  #throughput = SMALLEST_BUDGET;
  #arrivedThisSecond = 0;
  #secondStart: number;

  constructor(private readonly clock: Clock) {
    this.#secondStart = clock.monotonic();
  }

  get budget(): number {
    return Math.min(LARGEST_BUDGET, Math.max(SMALLEST_BUDGET, this.#throughput));
  }

  /** The hub has this much backlog, bytes; 0 ends its claim. */
  wants(debtor: Debtor, bytes: number): void {
    const account = this.#accounts.get(debtor) ?? { outstanding: 0, wanted: 0 };
    account.wanted = bytes;
    this.#accounts.set(debtor, account);
    this.#grantAll();
  }

  /** A BACKFILL envelope of this size has been stored. Returns false when it was never granted. */
  arrived(debtor: Debtor, bytes: number): boolean {
    const account = this.#accounts.get(debtor);
    if (!account || account.outstanding <= 0) return false;
    const counted = Math.min(bytes, account.outstanding);
    account.outstanding -= counted;
    account.wanted = Math.max(0, account.wanted - bytes);
    this.#release(debtor, counted);
    this.#measure(bytes);
    this.#grantAll();
    return true;
  }

  /** The session is over: what it was granted will not come. */
  forget(debtor: Debtor): void {
    const account = this.#accounts.get(debtor);
    if (!account) return;
    this.#accounts.delete(debtor);
    this.#release(debtor, account.outstanding);
    this.#grantAll();
  }

  #release(debtor: Debtor, bytes: number): void {
    this.#outstanding -= bytes;
    const left = (this.#perCarrier.get(debtor.carrier) ?? 0) - bytes;
    if (left > 0) this.#perCarrier.set(debtor.carrier, left);
    else this.#perCarrier.delete(debtor.carrier);
  }

  #measure(bytes: number): void {
    this.#arrivedThisSecond += bytes;
    const elapsed = this.clock.monotonic() - this.#secondStart;
    if (elapsed < 1_000) return;
    const rate = (this.#arrivedThisSecond * 1_000) / elapsed;
    this.#throughput = this.#throughput * (1 - NEWEST_WEIGHT) + rate * NEWEST_WEIGHT;
    this.#arrivedThisSecond = 0;
    this.#secondStart += elapsed;
  }

  /** Hands out what the budget allows, in turn, at most half of it to one carrier. */
  #grantAll(): void {
    const budget = this.budget;
    for (const [debtor, account] of [...this.#accounts]) {
      if (this.#outstanding >= budget) return;
      const carried = this.#perCarrier.get(debtor.carrier) ?? 0;
      if (carried >= budget / 2 || account.outstanding > GRANT / 2 || account.wanted <= account.outstanding) continue;
      account.outstanding += GRANT;
      this.#outstanding += GRANT;
      this.#perCarrier.set(debtor.carrier, carried + GRANT);
      // To the end of the line.
      this.#accounts.delete(debtor);
      this.#accounts.set(debtor, account);
      debtor.grant(GRANT);
    }
  }
}
