// Which way the hub reaches the cloud: a connector as long as there is one, the internet when every connector has been
// gone for long enough and it is allowed, and then that way until the service restarts or it fails for good.
// What is sent over a path is none of its business.
import { CloseCode } from '../../gen/occmesh/trunk/v1/trunk.js';
import { type Clock, sleep } from '../kernel/clock.js';
import { defined } from '../kernel/defined.js';
import { type Duration, milliseconds, minutes, seconds } from '../kernel/duration.js';
import { describe } from '../kernel/fault.js';
import type { Logger } from '../kernel/log.js';
import { type Edges, StateMachine } from '../kernel/machine.js';
import type { Random } from '../kernel/random.js';
import { RECONNECT, RetryWaits } from '../kernel/retry.js';
import { type Ending, ending } from '../link/pipe.js';

export type PathState =
  /** No path; every connector is tried in turn, then direct when it is due. */
  | 'searching'
  /** Up through a connector. */
  | 'connector'
  /** Up straight to the cloud; sticky. */
  | 'direct'
  /** The direct path was lost: it alone is tried again, for as long as fallbackAfter. */
  | 'redialing'
  | 'stopped';

export const PATH_EDGES: Edges<PathState> = {
  searching: ['connector', 'direct', 'stopped'],
  connector: ['searching', 'stopped'],
  direct: ['redialing', 'searching', 'stopped'],
  redialing: ['direct', 'searching', 'stopped'],
  stopped: [],
};

/** A session on a path, from the moment it is up. */
export interface LiveSession {
  /** Resolves when it has ended; never rejects. */
  readonly ended: Promise<Ending>;
  close(why: Ending): void;
}

/** One way to try: opens it and waits until its session is up. Rejects when it does not come up. */
export interface Route {
  readonly name: string;
  open(signal: AbortSignal): Promise<LiveSession>;
}

/** A route that did not come up, with the other side's reason. */
export class PathFailure extends Error {
  constructor(readonly why: Ending) {
    super(why.message);
    this.name = 'PathFailure';
  }
}

/** What came of trying one way, or several. */
interface Outcome {
  /** `brief`: a session came up and was gone again before it could prove anything. */
  readonly kind: 'failed' | 'brief' | 'up';
  /** When the other side asks to come back. */
  readonly retryAfterMs: number;
}

/** A session that ends sooner proves nothing: a connector could keep its hubs from every other way by coming and going. */
const BRIEF = seconds(10);
/** No carrier is asked to wait longer by anybody: a connector could keep its hubs away for good by asking for a year. */
const LONGEST_HINT = minutes(5);
/** How often the log says that there is still no path. */
const COMPLAIN_EVERY = minutes(5);

export interface PathPolicy {
  /** Allowed by the hub's own configuration and by the cloud. */
  readonly directAllowed: boolean;
  readonly fallbackAfter: Duration;
}

export interface PathFinderModules {
  /** Connectors worth trying now, best first; may look for more when those before have failed. */
  readonly connectors: (signal: AbortSignal) => AsyncIterable<Route>;
  readonly direct: Route;
  readonly policy: () => PathPolicy;
  /** A session has ended, or did not come up although the other side answered. */
  readonly onEnding?: (why: Ending) => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export class PathFinder {
  readonly #machine = new StateMachine<PathState>('path', PATH_EDGES, 'searching');
  #session: LiveSession | undefined;
  /** Monotonic: since when there has been no connector. */
  #connectorGone: Duration;
  #returnToConnector = false;
  /** Monotonic: when it was last said that there is no path; undefined since there was one. */
  #complained: Duration | undefined;
  /** Why the route that was tried last is not a path. */
  #why: string | undefined;
  /** What the direct path that was just lost has asked for, milliseconds. */
  #hint = 0;

  constructor(private readonly modules: PathFinderModules) {
    this.#connectorGone = modules.clock.monotonic();
  }

  get state(): PathState {
    return this.#machine.state;
  }

  onChange(listener: (to: PathState, from: PathState) => void): () => void {
    return this.#machine.onChange(listener);
  }

  /** Runs until the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    try {
      while (!signal.aborted) await (this.state === 'redialing' ? this.#redial(signal) : this.#search(signal));
    } catch (thrown) {
      if (!signal.aborted) throw thrown;
    } finally {
      this.#machine.to('stopped');
    }
  }

  /** The policy may have changed: a direct path that is no longer allowed ends. */
  reconsider(): void {
    if (this.state === 'direct' && !this.modules.policy().directAllowed)
      this.leaveDirect('direct is no longer allowed');
  }

  /** Gives the direct path up and looks for a connector again. */
  leaveDirect(reason: string): void {
    if (this.state !== 'direct') return;
    this.#returnToConnector = true;
    this.#session?.close(ending(CloseCode.DONE, reason));
  }

  /** Rounds over all ways until one is up; returns when that one has ended and the wait after it is over. */
  async #search(signal: AbortSignal): Promise<void> {
    const { clock, random } = this.modules;
    const waits = new RetryWaits(RECONNECT, random);
    for (;;) {
      let { kind, retryAfterMs } = await this.#tryConnectors(signal);
      if (kind !== 'up' && this.#directIsDue()) {
        const direct = await this.#tryDirect(signal);
        kind = direct.kind;
        retryAfterMs = kind === 'up' ? direct.retryAfterMs : Math.max(retryAfterMs, direct.retryAfterMs);
      }
      if (this.state === 'redialing') {
        // It has waits of its own.
        this.#hint = retryAfterMs;
        return;
      }
      if (kind === 'up') {
        await sleep(clock, milliseconds(Math.max(retryAfterMs, random.uniform() * RECONNECT.first)), signal);
        return;
      }
      this.#complain();
      await sleep(clock, this.#notBeyondDirect(waits.next(retryAfterMs)), signal);
    }
  }

  /** Says that there is no path when that begins, and now and then while it lasts. */
  #complain(): void {
    const { clock, policy } = this.modules;
    const now = clock.monotonic();
    if (this.#complained !== undefined && now - this.#complained < COMPLAIN_EVERY) return;
    this.#complained = now;
    const direct = policy().directAllowed ? 'tried when it is due' : 'not allowed';
    const about = { direct, ...defined({ last: this.#why }) };
    this.modules.log.warn(about, 'no path to the cloud: no connector leads there; readings stay in the log');
  }

  /** Only direct, for as long as fallbackAfter; then everything again. */
  async #redial(signal: AbortSignal): Promise<void> {
    const { clock, random, policy } = this.modules;
    const until = clock.monotonic() + policy().fallbackAfter;
    const waits = new RetryWaits(RECONNECT, random);
    for (;;) {
      await sleep(clock, waits.next(this.#hint), signal);
      this.#hint = 0;
      if (!policy().directAllowed) return this.#machine.to('searching');
      const outcome = await this.#tryDirect(signal);
      this.#hint = outcome.retryAfterMs;
      if (outcome.kind === 'up' || this.state !== 'redialing') return;
      if (clock.monotonic() >= until) return this.#machine.to('searching');
    }
  }

  /** One connector after the other, until one has been up for a while. */
  async #tryConnectors(signal: AbortSignal): Promise<Outcome> {
    const { clock, connectors, log } = this.modules;
    let retryAfterMs = 0;
    try {
      for await (const route of connectors(signal)) {
        const outcome = await this.#travel(route, 'connector', signal);
        if (outcome.kind !== 'failed') this.#machine.to('searching');
        if (outcome.kind === 'up') {
          this.#connectorGone = clock.monotonic();
          return outcome;
        }
        retryAfterMs = Math.max(retryAfterMs, outcome.retryAfterMs);
      }
    } catch (thrown) {
      signal.throwIfAborted();
      // Searching the network may fail (no interface is up): there is the next round, and there is direct.
      log.warn({ cause: describe(thrown) }, 'connectors cannot be searched now');
    }
    return { kind: 'failed', retryAfterMs };
  }

  async #tryDirect(signal: AbortSignal): Promise<Outcome> {
    const outcome = await this.#travel(this.modules.direct, 'direct', signal);
    if (outcome.kind === 'failed') return outcome;
    const isLeft = this.#returnToConnector;
    this.#returnToConnector = false;
    this.#machine.to(isLeft ? 'searching' : 'redialing');
    if (!isLeft) return outcome;
    this.#connectorGone = this.modules.clock.monotonic();
    return { ...outcome, kind: 'up' };
  }

  /** Opens a route and stays on it until it ends. */
  async #travel(route: Route, as: 'connector' | 'direct', signal: AbortSignal): Promise<Outcome> {
    const { clock, log } = this.modules;
    signal.throwIfAborted();
    let session: LiveSession;
    try {
      session = await route.open(signal);
    } catch (thrown) {
      signal.throwIfAborted();
      if (thrown instanceof PathFailure) this.modules.onEnding?.(thrown.why);
      this.#why = describe(thrown);
      log.info({ route: route.name, cause: this.#why }, 'not a path');
      return { kind: 'failed', retryAfterMs: retryAfterOf(thrown) };
    }
    const close = () => session.close(ending(CloseCode.GOING_AWAY, 'the hub is being stopped'));
    if (signal.aborted) close();
    signal.throwIfAborted();
    signal.addEventListener('abort', close, { once: true });
    this.#session = session;
    this.#machine.to(as);
    this.#complained = undefined;
    this.#why = undefined;
    log.info({ route: route.name }, as === 'direct' ? 'path is up: direct, until restart' : 'path is up');
    const since = clock.monotonic();
    const why = await session.ended;
    signal.removeEventListener('abort', close);
    this.#session = undefined;
    signal.throwIfAborted();
    this.modules.onEnding?.(why);
    log.warn({ route: route.name, code: CloseCode[why.code], reason: why.message }, 'path is lost');
    const brief = Math.min(BRIEF, this.modules.policy().fallbackAfter);
    const kind = clock.monotonic() - since < brief ? 'brief' : 'up';
    return { kind, retryAfterMs: Math.min(why.retryAfterMs, LONGEST_HINT) };
  }

  #directIsDue(): boolean {
    const { directAllowed, fallbackAfter } = this.modules.policy();
    return directAllowed && this.modules.clock.monotonic() - this.#connectorGone >= fallbackAfter;
  }

  /** A wait never sleeps past the moment at which direct becomes due. */
  #notBeyondDirect(wait: Duration): Duration {
    const { directAllowed, fallbackAfter } = this.modules.policy();
    const due = this.#connectorGone + fallbackAfter - this.modules.clock.monotonic();
    return directAllowed && due > 0 && due < wait ? milliseconds(due) : wait;
  }
}

const retryAfterOf = (thrown: unknown): number =>
  thrown instanceof PathFailure ? Math.min(thrown.why.retryAfterMs, LONGEST_HINT) : 0;
