// What one hub or connector may cost the cloud. All that it says may be valid and signed; bounded here is how much of it
// there may be. Every bound is far above what an honest one does, and none loses anything: the session ends, and what was
// not acknowledged stays in the hub's log for the next one.
import { Oddities } from '../../contract/oddities.js';
import { type Clock, sleep } from '../../kernel/clock.js';
import { type Duration, minutes } from '../../kernel/duration.js';
import type { Logger } from '../../kernel/log.js';
import { type BucketOptions, TokenBucket } from '../../kernel/token-bucket.js';
import { LinkFault } from '../../link/fault.js';
import { MAX_CHANNELS } from '../../trunk/limits.js';
import type { AuthorBudget } from '../telemetry/ingest.js';
import type { HubLedger } from '../telemetry/ledger.js';

/** What is used up and comes back with time. */
export type Expense =
  | 'trunks'
  | 'channels'
  | 'refusals'
  | 'links'
  | 'sessions'
  | 'logs'
  | 'frames'
  | 'gaps'
  | 'bytes'
  | 'unfolding'
  | 'digests';

export interface BudgetLimits {
  readonly rates: { readonly [E in Expense]: BucketOptions };
  /** Logs on record, whenever they were written. */
  readonly logs: number;
  /** Ranges held and gaps on record, of all logs together: a Welcome has to tell them all in 1 MiB. */
  readonly pieces: number;
}

const KIB = 1_024;
const MIB = 1_024 ** 2;
const GIB = 1_024 ** 3;

export const BUDGET: BudgetLimits = {
  rates: {
    // Of a connector: two synced writes each, and perhaps other addresses, which all of its hubs are told.
    trunks: { burst: 120, perSecond: 1 / 5 },
    // On all of them; whoever opens one may send any certificate to be looked at. Twice as many hubs as it may carry.
    channels: { burst: 2 * MAX_CHANNELS, perSecond: 200 },
    // Of those: also what is refused at a glance. All hubs of a connector may be told to come back later, twice.
    refusals: { burst: 2 * MAX_CHANNELS, perSecond: 200 },
    // Of a hub to the cloud itself, before it has said Hello.
    links: { burst: 240, perSecond: 2 },
    // Two synced writes and two signatures each. Whoever searches a path begins one in a second at most.
    sessions: { burst: 120, perSecond: 1 },
    // One for each start of the service. 256 are what a hub itself keeps in mind.
    logs: { burst: 512, perSecond: 1 / 120 },
    // Signed for the session: a heartbeat now and then, the end of a desired state, of a command. Heartbeats of a trunk.
    frames: { burst: 2_000, perSecond: 20 },
    // Also those that are told again: all that can be on record, twice.
    gaps: { burst: 32_768, perSecond: 10 },
    // Of batches. Eight full logs; then more than a thousand sensors say in a second.
    bytes: { burst: 8 * GIB, perSecond: 256 * KIB },
    // What these take to be unfolded: 1 KiB may hold 2 MiB. An honest batch takes some ten times as much as its bytes.
    unfolding: { burst: 64 * GIB, perSecond: 2 * MIB },
    // To be hashed, what is asked for has to become readings, one by one: twenty times the work. A million at once.
    digests: { burst: 64 * MIB, perSecond: MIB },
  },
  // Three starts a day for fifteen years.
  logs: 16_384,
  // A hub fills its oldest holes first when a log has 32.
  pieces: 16_384,
};

const WORDS: { readonly [E in Expense]: string } = {
  trunks: 'too many trunks',
  channels: 'too many new channels',
  refusals: 'too many channels that are refused',
  links: 'too many connections',
  sessions: 'too many sessions',
  logs: 'too many new logs (is its service started again and again?)',
  frames: 'too many messages',
  gaps: 'too many gaps',
  bytes: 'too many readings',
  unfolding: 'too many readings in too few bytes',
  digests: 'too many digests',
};

/** How long whoever has reached a bound for good should stay away; nobody is made to wait longer by a hint. */
const LONG: Duration = minutes(5);

interface BudgetModules {
  readonly clock: Clock;
  readonly log: Logger;
}

export class MachineBudget implements AuthorBudget {
  readonly #buckets: { [E in Expense]?: TokenBucket } = {};
  #oddities: Oddities | undefined;

  constructor(
    private readonly machineId: string,
    private readonly limits: BudgetLimits,
    private readonly modules: BudgetModules,
  ) {}

  /** What this machine is the cause of, in the log: no more than it takes to understand it. */
  get oddities(): Oddities {
    const { clock, log } = this.modules;
    this.#oddities ??= new Oddities({ clock, log: log.child({ machine: this.machineId }) });
    return this.#oddities;
  }

  /** Faults: link.exhausted, with the time to wait. */
  spend(expense: Expense, amount = 1): void {
    const bucket = this.#bucket(expense);
    const retryAfter = bucket.wait(amount);
    if (retryAfter > 0) throw new LinkFault('link.exhausted', `${WORDS[expense]} of this machine`, { retryAfter });
    bucket.take(amount);
  }

  /** Waits until there is so much to be had, and takes it. Rejects when the signal is aborted. */
  async afford(expense: Expense, amount: number, signal: AbortSignal): Promise<void> {
    const bucket = this.#bucket(expense);
    for (let wait = bucket.wait(amount); wait > 0; wait = bucket.wait(amount)) {
      await sleep(this.modules.clock, wait, signal);
    }
    bucket.take(amount);
  }

  unfold(cost: number): void {
    this.spend('unfolding', cost);
  }

  record(ledger: HubLedger, log: Uint8Array, apart: boolean): void {
    if (apart && ledger.pieces >= this.limits.pieces) {
      throw full(`${ledger.pieces} separate ranges and gaps of this hub are on record, and no more can be`);
    }
    if (ledger.knows(log)) return;
    if (ledger.logs.size >= this.limits.logs)
      throw full(`${ledger.logs.size} logs of this hub are on record, and no more can be`);
    this.spend('logs');
  }

  #bucket(expense: Expense): TokenBucket {
    this.#buckets[expense] ??= new TokenBucket(this.limits.rates[expense], this.modules.clock);
    return this.#buckets[expense];
  }
}

/** Every machine's budget, beyond its sessions. As many as there are machines: certificates stand behind them. */
export class MachineBudgets {
  readonly #machines = new Map<string, MachineBudget>();

  constructor(
    private readonly modules: BudgetModules,
    private readonly limits: BudgetLimits = BUDGET,
  ) {}

  of(machineId: string): MachineBudget {
    let budget = this.#machines.get(machineId);
    if (!budget) {
      budget = new MachineBudget(machineId, this.limits, this.modules);
      this.#machines.set(machineId, budget);
    }
    return budget;
  }
}

const full = (what: string): LinkFault =>
  new LinkFault('link.exhausted', what, {
    retryAfter: LONG,
    advice: 'Retire this hub and enrol it again when it is well: its new identity begins with nothing on record.',
  });
