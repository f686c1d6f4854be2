// Credit for backlogs: how many bytes of BACKFILL may be on their way to the cloud, in all and of each customer. About a
// quarter of a second of what was stored of late, so that a queue never holds a live reading up for longer; newest first is
// the hub's part. Customers take turns, and so do the hubs of each. A hub says at once when its credit is used up or nothing more waits: little credit goes a long way then.
//
// Credit once granted cannot be taken back, but a hub that has nothing left to send will not use it: only what a hub
// both may and would send counts against the budget, so that unused credit of many keeps nobody waiting. Nor does it count
// for long: a hub that says it would send and does not, or a connector that holds it back, keeps nobody waiting either.
import type { Clock } from '../../kernel/clock.js';
import { seconds } from '../../kernel/duration.js';

/** Bytes granted at a time to one hub: some ten thousand readings. */
const GRANT = 16 * 1024;
/** A hub may send a batch as soon as it has any credit, and a batch may have a single large flush. */
const LARGEST_BATCH = 288 * 1024;
/** Whoever has not used a grant by then may still use it, but has it for nothing: a slow line, or a lie. */
const GRANT_COUNTS = seconds(1);
const SECONDS_AHEAD = 0.25;
const SMALLEST_BUDGET = 256 * 1024;
const LARGEST_BUDGET = 64 * 1024 * 1024;
/** Weight of the newest second in the running mean of throughput. */
const NEWEST_WEIGHT = 0.3;

/** A session that may have a backlog. */
export interface Debtor {
  readonly customerId: string;
  grant(bytes: number): void;
}

interface Account {
  /** Granted and not yet arrived; below zero by what the last batch was larger than what was left. */
  credit: number;
  /** Arrived and not yet stored. */
  storing: number;
  /** What the hub says it would send. */
  wanted: number;
  /** When something was granted last, monotonic; undefined as soon as that is too long ago to count. */
  grantedAt: number | undefined;
  /** What of all this counts against the budgets. */
  claim: number;
}

export class CreditBank {
  readonly #accounts = new Map<Debtor, Account>();
  /** Those who want more than they have, by customer, in the order in which they are served. */
  readonly #line = new Map<string, Set<Debtor>>();
  /** Whose credit counts; the one that was granted some last stands last. */
  readonly #granted = new Set<Debtor>();
  readonly #perCustomer = new Map<string, number>();
  #claimed = 0;
  #throughput = SMALLEST_BUDGET;
  #storedThisSecond = 0;
  #secondStart: number;

  constructor(private readonly clock: Clock) {
    this.#secondStart = clock.monotonic();
  }

  /** Bytes that may be on their way altogether; one customer may have half of it. */
  get budget(): number {
    return Math.min(LARGEST_BUDGET, Math.max(SMALLEST_BUDGET, this.#throughput * SECONDS_AHEAD));
  }

  /** Bytes that count as being on their way. */
  get claimed(): number {
    return this.#claimed;
  }

  /** The hub has this much backlog that is not on its way, bytes; 0 ends its claim. */
  wants(debtor: Debtor, bytes: number): void {
    const account = this.#accounts.get(debtor) ?? { credit: 0, storing: 0, wanted: 0, grantedAt: undefined, claim: 0 };
    this.#accounts.set(debtor, account);
    this.#change(debtor, account, { wanted: bytes });
    this.#grantAll();
  }

  /** A BACKFILL envelope has come. False when the hub has sent more than a batch beyond its credit. */
  arrived(debtor: Debtor, bytes: number): boolean {
    const account = this.#accounts.get(debtor);
    if (!account || account.credit - bytes < -LARGEST_BATCH) return false;
    const { credit, storing, wanted } = account;
    this.#change(debtor, account, {
      credit: credit - bytes,
      storing: storing + bytes,
      wanted: Math.max(0, wanted - bytes),
    });
    return true;
  }

  /** It has been stored, or refused. */
  stored(debtor: Debtor, bytes: number): void {
    this.#measure(bytes);
    const account = this.#accounts.get(debtor);
    if (account) this.#change(debtor, account, { storing: account.storing - bytes });
    this.#grantAll();
  }

  /** The session is over: what it was granted will not come. */
  forget(debtor: Debtor): void {
    const account = this.#accounts.get(debtor);
    if (!account) return;
    this.#change(debtor, account, { credit: 0, storing: 0, wanted: 0 });
    this.#accounts.delete(debtor);
    this.#granted.delete(debtor);
    this.#grantAll();
  }

  #change(debtor: Debtor, account: Account, change: Partial<Account>): void {
    Object.assign(account, change);
    const { credit, storing, wanted, grantedAt } = account;
    const claim = storing + (grantedAt === undefined ? 0 : Math.max(0, Math.min(credit, wanted)));
    const more = claim - account.claim;
    account.claim = claim;
    this.#claimed += more;
    const its = (this.#perCustomer.get(debtor.customerId) ?? 0) + more;
    if (its > 0) this.#perCustomer.set(debtor.customerId, its);
    else this.#perCustomer.delete(debtor.customerId);
    if (wanted > 0 && credit <= GRANT / 2 && wanted > credit) this.#lineUp(debtor);
    else this.#stepOut(debtor);
  }

  #lineUp(debtor: Debtor): void {
    const hubs = this.#line.get(debtor.customerId);
    if (hubs) hubs.add(debtor);
    else this.#line.set(debtor.customerId, new Set([debtor]));
  }

  #stepOut(debtor: Debtor): void {
    const hubs = this.#line.get(debtor.customerId);
    if (hubs?.delete(debtor) && hubs.size === 0) this.#line.delete(debtor.customerId);
  }

  #measure(bytes: number): void {
    this.#storedThisSecond += bytes;
    const elapsed = this.clock.monotonic() - this.#secondStart;
    if (elapsed < 1_000) return;
    const rate = (this.#storedThisSecond * 1_000) / elapsed;
    this.#throughput = this.#throughput * (1 - NEWEST_WEIGHT) + rate * NEWEST_WEIGHT;
    this.#storedThisSecond = 0;
    this.#secondStart += elapsed;
  }

  #expire(): void {
    const now = this.clock.monotonic();
    for (const debtor of this.#granted) {
      const account = this.#accounts.get(debtor);
      if (account?.grantedAt !== undefined && now < account.grantedAt + GRANT_COUNTS) return;
      this.#granted.delete(debtor);
      if (account) this.#change(debtor, account, { grantedAt: undefined });
    }
  }

  /** Hands out what the budget allows, in turn, at most half of it to one customer. */
  #grantAll(): void {
    this.#expire();
    const { budget } = this;
    for (let granted = true; granted; ) {
      granted = false;
      for (const [customerId, [debtor]] of [...this.#line]) {
        if (this.#claimed + GRANT > budget) return;
        if (!debtor || (this.#perCustomer.get(customerId) ?? 0) + GRANT > budget / 2) continue;
        this.#grant(debtor);
        granted = true;
      }
    }
  }

  #grant(debtor: Debtor): void {
    const account = this.#accounts.get(debtor);
    if (!account) return;
    // Hub and customer to the ends of their lines, if they still want more.
    this.#stepOut(debtor);
    const others = this.#line.get(debtor.customerId);
    this.#line.delete(debtor.customerId);
    if (others) this.#line.set(debtor.customerId, others);
    this.#granted.delete(debtor);
    this.#granted.add(debtor);
    this.#change(debtor, account, { credit: account.credit + GRANT, grantedAt: this.clock.monotonic() });
    debtor.grant(GRANT);
  }
}
