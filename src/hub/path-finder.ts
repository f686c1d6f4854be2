// Which way the hub reaches the cloud: a connector as long as there is one, the internet when every connector has been
// gone for long enough and it is allowed, and then that way until the service restarts or it fails for good.
// What is sent over a path is none of its business.
import { CloseCode } from '../../gen/occmesh/trunk/v1/trunk.js';
import { type Clock, sleep } from '../kernel/clock.js';
import { type Duration, milliseconds } from '../kernel/duration.js';
import { describe } from '../kernel/fault.js';
import type { Logger } from '../kernel/log.js';
import { type Edges, StateMachine } from '../kernel/machine.js';
import type { Random } from '../kernel/random.js';
import { backoff, RECONNECT } from '../kernel/retry.js';
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

  /** Rounds over all ways until one is up; returns when that one has ended. */
  async #search(signal: AbortSignal): Promise<void> {
    const { clock, random, log } = this.modules;
    for (const wait of backoff(RECONNECT, random)) {
      let hint = 0;
      for await (const route of this.modules.connectors(signal)) {
        const outcome = await this.#travel(route, 'connector', signal);
        if (outcome.wasUp) {
          this.#connectorGone = clock.monotonic();
          this.#machine.to('searching');
          await this.#pause(milliseconds(random.uniform() * RECONNECT.first), outcome.retryAfterMs, signal);
          return;
        }
        hint = Math.max(hint, outcome.retryAfterMs);
      }
      if (this.#directIsDue()) {
        const outcome = await this.#travel(this.modules.direct, 'direct', signal);
        if (outcome.wasUp) {
          this.#afterDirect();
          await this.#pause(milliseconds(random.uniform() * RECONNECT.first), outcome.retryAfterMs, signal);
          return;
        }
        hint = Math.max(hint, outcome.retryAfterMs);
      }
      log.debug({ wait: Math.round(wait) }, 'no path; readings stay in the log');
      await this.#pause(this.#notBeyondDirect(wait), hint, signal);
    }
  }

  /** Only direct, for as long as fallbackAfter; then everything again. */
  async #redial(signal: AbortSignal): Promise<void> {
    const { clock, random, policy } = this.modules;
    const until = clock.monotonic() + policy().fallbackAfter;
    for (const wait of backoff(RECONNECT, random)) {
      await this.#pause(wait, 0, signal);
      const outcome = policy().directAllowed
        ? await this.#travel(this.modules.direct, 'direct', signal)
        : { wasUp: false, retryAfterMs: 0 };
      if (outcome.wasUp) return this.#afterDirect();
      if (clock.monotonic() >= until || !policy().directAllowed) return this.#machine.to('searching');
    }
  }

  #afterDirect(): void {
    this.#machine.to(this.#returnToConnector ? 'searching' : 'redialing');
    if (this.#returnToConnector) this.#connectorGone = this.modules.clock.monotonic();
    this.#returnToConnector = false;
  }

  /** Opens a route and stays on it until it ends. */
  async #travel(
    route: Route,
    as: 'connector' | 'direct',
    signal: AbortSignal,
  ): Promise<{ readonly wasUp: boolean; readonly retryAfterMs: number }> {
    const { log } = this.modules;
    signal.throwIfAborted();
    let session: LiveSession;
    try {
      session = await route.open(signal);
    } catch (thrown) {
      signal.throwIfAborted();
      log.info({ route: route.name, cause: describe(thrown) }, 'not a path');
      return { wasUp: false, retryAfterMs: retryAfterOf(thrown) };
    }
    this.#session = session;
    this.#machine.to(as);
    log.info({ route: route.name }, as === 'direct' ? 'path is up: direct, until restart' : 'path is up');
    const why = await session.ended;
    this.#session = undefined;
    signal.throwIfAborted();
    log.warn({ route: route.name, code: CloseCode[why.code], reason: why.message }, 'path is lost');
    return { wasUp: true, retryAfterMs: why.retryAfterMs };
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

  async #pause(wait: Duration, hintMs: number, signal: AbortSignal): Promise<void> {
    await sleep(this.modules.clock, milliseconds(Math.max(wait, hintMs)), signal);
  }
}

const retryAfterOf = (thrown: unknown): number => (thrown instanceof PathFailure ? thrown.why.retryAfterMs : 0);
