// The connector's one connection to the cloud: a state machine that keeps a trunk up, and the channels inside it.
// Envelopes pass as opaque bytes; only their lane is looked at, for the order of sending.
import { Lane } from '../../gen/occmesh/link/v1/link.js';
import {
  CloseCode,
  type Frame,
  type Open,
  TrunkFrames,
  type TrunkHello,
  type TrunkWelcome,
} from '../../gen/occmesh/trunk/v1/trunk.js';
import { type Clock, every, sleep, type Timer } from '../kernel/clock.js';
import { type Duration, milliseconds, minutes, seconds } from '../kernel/duration.js';
import { describe } from '../kernel/fault.js';
import type { Logger } from '../kernel/log.js';
import { type Edges, StateMachine } from '../kernel/machine.js';
import type { Random } from '../kernel/random.js';
import { RECONNECT, RetryWaits } from '../kernel/retry.js';
import { endingOf, LinkFault } from '../link/fault.js';
import { agreeOnVersion, olderServer, SPEAKS, type Speaks } from '../link/negotiation.js';
import { type Ending, ending } from '../link/pipe.js';
import { FrameQueue, type MessageSink } from '../trunk/frame-queue.js';
import { MAX_CHANNELS, TRUNK_CHANNEL } from '../trunk/limits.js';

export type TrunkState =
  /** Waiting before the next try. */
  | 'down'
  | 'dialing'
  /** Connected; Hello is sent. */
  | 'greeting'
  | 'up'
  | 'stopped';

export const TRUNK_EDGES: Edges<TrunkState> = {
  down: ['dialing', 'stopped'],
  dialing: ['greeting', 'down', 'stopped'],
  greeting: ['up', 'down', 'stopped'],
  up: ['down', 'stopped'],
  stopped: [],
};

const GREETING_LIMIT = seconds(15);
const MISSED_HEARTBEATS = 3;
/** A trunk that was up for this long begins its backoff anew. */
const STABLE = minutes(1);

/** An open stream to the cloud. */
export interface TrunkStream extends MessageSink {
  /** Called once, before anything is sent. */
  listen(handlers: { message(bytes: Uint8Array): void; closed(why: Ending): void }): void;
  end(): void;
}

/** One hub's channel, seen from the LAN side. */
export interface ChannelHandlers {
  envelope(bytes: Uint8Array): void;
  closed(why: Ending): void;
}

export interface HubChannel {
  /** Bytes of this hub that wait for the cloud. */
  queuedBytes: number;
  send(envelope: Uint8Array, lane: Lane): void;
  close(why: Ending): void;
}

export interface TrunkLinkModules {
  /** Dials the cloud; rejects when it cannot be reached. */
  readonly dial: (signal: AbortSignal) => Promise<TrunkStream>;
  readonly hello: () => Omit<TrunkHello, 'version' | 'versions' | 'capabilities'>;
  readonly onWelcome: (welcome: TrunkWelcome) => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Default: what this release speaks. */
  readonly speaks?: Speaks;
}

export class TrunkLink {
  readonly #machine = new StateMachine<TrunkState>('trunk', TRUNK_EDGES, 'down');
  readonly #channels = new Map<number, ChannelHandlers>();
  /** Since the start. */
  readonly #counts = { opened: 0, stalls: 0, bytesUp: 0, bytesDown: 0 };
  #queue: FrameQueue | undefined;
  #nextChannel = TRUNK_CHANNEL + 1;
  #beats = 0;

  readonly #speaks: Speaks;

  constructor(private readonly modules: TrunkLinkModules) {
    this.#speaks = modules.speaks ?? SPEAKS;
  }

  get state(): TrunkState {
    return this.#machine.state;
  }

  get hubCount(): number {
    return this.#channels.size;
  }

  get counts(): Readonly<{ opened: number; stalls: number; bytesUp: number; bytesDown: number }> {
    return this.#counts;
  }

  /** Bytes that wait for the cloud. */
  get queuedBytes(): number {
    return this.#queue?.queuedBytes ?? 0;
  }

  onChange(listener: (to: TrunkState, from: TrunkState) => void): () => void {
    return this.#machine.onChange(listener);
  }

  /** Keeps a trunk up until the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, random, log } = this.modules;
    const waits = new RetryWaits(RECONNECT, random);
    try {
      while (!signal.aborted) {
        this.#machine.to('dialing');
        const began = clock.monotonic();
        const why = await this.#once(signal);
        signal.throwIfAborted();
        log.warn({ code: CloseCode[why.code], reason: why.message }, 'no trunk to the cloud');
        if (clock.monotonic() - began > STABLE) waits.restart();
        await sleep(clock, waits.next(why.retryAfterMs), signal);
      }
    } catch (thrown) {
      if (!signal.aborted) throw thrown;
    } finally {
      this.#machine.to('stopped');
    }
  }

  /** A channel for a hub; undefined while there is no trunk, or no room on it. */
  open(open: Open, handlers: ChannelHandlers): HubChannel | undefined {
    const queue = this.#queue;
    const channels = this.#channels;
    if (!queue || !this.#machine.is('up') || this.#channels.size >= MAX_CHANNELS) return undefined;
    const channel = this.#nextChannel++;
    this.#channels.set(channel, handlers);
    queue.push({ channel, body: { $case: 'open', value: open } }, Lane.CONTROL);
    return {
      queuedBytes: 0,
      send(envelope, lane) {
        if (!channels.has(channel)) return;
        queue.push({ channel, body: { $case: 'envelope', value: envelope } }, lane, envelope.length, this);
      },
      close: (why) => {
        if (!this.#channels.delete(channel)) return;
        const value = { code: why.code, message: why.message, retryAfterMs: why.retryAfterMs };
        queue.push({ channel, body: { $case: 'close', value } }, Lane.CONTROL);
      },
    };
  }

  /** One trunk from dialing to its end. */
  async #once(signal: AbortSignal): Promise<Ending> {
    let stream: TrunkStream;
    try {
      stream = await this.modules.dial(signal);
    } catch (thrown) {
      signal.throwIfAborted();
      this.#machine.to('down');
      const hint = (thrown as { retryAfterMs?: number }).retryAfterMs;
      return ending(CloseCode.NO_CLOUD, describe(thrown), hint ?? 0);
    }
    if (signal.aborted) stream.end();
    signal.throwIfAborted();
    this.#machine.to('greeting');
    return new Promise<Ending>((resolve) => {
      const queue = this.#newQueue(stream);
      const timers: Timer[] = [];
      let over = false;
      const finish = (why: Ending) => {
        if (over) return;
        over = true;
        for (const timer of timers) timer.disarm();
        signal.removeEventListener('abort', onAbort);
        this.#queue = undefined;
        if (!this.#machine.is('stopped')) this.#machine.to('down');
        this.#closeAll(ending(CloseCode.NO_CLOUD, 'the connector has lost the cloud'));
        queue.close();
        stream.end();
        resolve(why);
      };
      const onAbort = () => {
        queue.push({ channel: TRUNK_CHANNEL, body: { $case: 'bye', value: { reason: 'shut down' } } }, Lane.CONTROL);
        finish(ending(CloseCode.DONE, 'stopped'));
      };
      signal.addEventListener('abort', onAbort);
      timers.push(this.#silence(GREETING_LIMIT, 'no welcome from the cloud', finish));
      let unanswered = 0;
      stream.listen({
        closed: finish,
        message: (bytes) => {
          this.#counts.bytesDown += bytes.length;
          try {
            for (const frame of TrunkFrames.decode(bytes).frames) {
              if (frame.body?.$case === 'welcome') {
                for (const timer of timers.splice(0)) timer.disarm();
                this.#up(queue, frame.body.value);
                const period = milliseconds(Math.max(1_000, frame.body.value.heartbeatMs));
                timers.push(
                  every(this.modules.clock, period, () => {
                    if (++unanswered > MISSED_HEARTBEATS)
                      finish(ending(CloseCode.GOING_AWAY, 'the cloud does not answer'));
                    else this.#beat(queue);
                  }),
                );
              } else if (frame.body?.$case === 'heartbeatAnswer') {
                unanswered = 0;
              } else {
                this.#frame(frame);
              }
            }
          } catch (thrown) {
            const isOurs = thrown instanceof LinkFault;
            finish(isOurs ? endingOf(thrown) : ending(CloseCode.PROTOCOL, describe(thrown)));
          }
        },
      });
      queue.push({ channel: TRUNK_CHANNEL, body: { $case: 'hello', value: this.#hello() } }, Lane.CONTROL);
    });
  }

  /** What the connector says of itself, and what it speaks. */
  #hello(): TrunkHello {
    const { versions, capabilities } = this.#speaks;
    const version = Math.max(...versions);
    return { ...this.modules.hello(), version, versions: [...versions], capabilities: [...capabilities] };
  }

  #newQueue(stream: TrunkStream): FrameQueue {
    const counts = this.#counts;
    const sink: MessageSink = {
      write: (message) => {
        counts.bytesUp += message.length;
        stream.write(message);
      },
      get bufferedBytes() {
        return stream.bufferedBytes;
      },
      drained: () => stream.drained(),
    };
    return new FrameQueue(sink, () => {
      counts.stalls += 1;
    });
  }

  #up(queue: FrameQueue, welcome: TrunkWelcome): void {
    this.#checkVersion(welcome);
    this.#queue = queue;
    this.#counts.opened += 1;
    // Numbers are fresh on each trunk; none is used twice on one.
    this.#nextChannel = TRUNK_CHANNEL + 1;
    this.#machine.to('up');
    this.modules.log.info({ cloud: welcome.software }, 'trunk to the cloud is up');
    this.modules.onWelcome(welcome);
    this.#beat(queue);
  }

  #checkVersion({ version, software }: TrunkWelcome): void {
    const own = { role: 'connector', versions: this.#speaks.versions };
    // Clouds before 0.2 name none.
    const cloud = { role: 'cloud', versions: [version || 1] };
    agreeOnVersion(own, cloud);
    const advice = olderServer(own, cloud);
    if (advice !== undefined) this.modules.log.warn({ cloud: software }, advice);
  }

  #beat(queue: FrameQueue): void {
    const value = { number: ++this.#beats, hubs: this.#channels.size };
    queue.push({ channel: TRUNK_CHANNEL, body: { $case: 'heartbeat', value } }, Lane.CONTROL);
  }

  #frame({ channel, body }: Frame): void {
    const handlers = this.#channels.get(channel);
    if (!handlers || !body) return;
    if (body.$case === 'envelope') handlers.envelope(body.value);
    else if (body.$case === 'close') {
      this.#channels.delete(channel);
      handlers.closed(ending(body.value.code, body.value.message, body.value.retryAfterMs));
    }
  }

  #closeAll(why: Ending): void {
    const all = [...this.#channels.values()];
    this.#channels.clear();
    for (const handlers of all) handlers.closed(why);
  }

  #silence(limit: Duration, what: string, finish: (why: Ending) => void): Timer {
    return this.modules.clock.after(limit, () => finish(ending(CloseCode.GOING_AWAY, what)));
  }
}
