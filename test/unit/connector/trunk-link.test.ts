// The connector's end of the trunk: against a scripted cloud, and against the real one with real hubs.
import { expect } from 'chai';
import { Envelope, Lane } from '../../../gen/occmesh/link/v1/link.js';
import { CloseCode, type Frame, TrunkFrames, TrunkHello, TrunkWelcome } from '../../../gen/occmesh/trunk/v1/trunk.js';
import { TrunkHost } from '../../../src/cloud/sessions/trunk-host.js';
import {
  type HubChannel,
  TRUNK_EDGES,
  TrunkLink,
  type TrunkState,
  type TrunkStream,
} from '../../../src/connector/trunk-link.js';
import { seconds } from '../../../src/kernel/duration.js';
import { silentLogger } from '../../../src/kernel/log.js';
import { IllegalTransition, StateMachine } from '../../../src/kernel/machine.js';
import { bareEnvelope, decodeEnvelope, encodeUp, peekLane } from '../../../src/link/envelope.js';
import { VERSIONS } from '../../../src/link/negotiation.js';
import { type Ending, ending, type Pipe, type PipeHandlers } from '../../../src/link/pipe.js';
import { FakeClock, settle } from '../../support/fake-clock.js';
import { expectExactlyOnce } from '../../support/judge-delivery.js';
import { looksInside } from '../../support/looks-inside.js';
import { seededRandom, testSeed } from '../../support/seeded-random.js';
import { SmallCloud } from '../../support/small-cloud.js';
import { SmallHub } from '../../support/small-hub.js';
import { until } from '../../support/until.js';
import { cast } from '../link/fixtures.js';

/** The cloud as a script: what the connector sent is here, and what is said is what a test says. */
class ScriptedStream implements TrunkStream {
  readonly sent: Frame[] = [];
  /** Messages in which they travelled. */
  messages = 0;
  bufferedBytes = 0;
  ended = false;
  #handlers: Parameters<TrunkStream['listen']>[0] | undefined;

  listen(handlers: Parameters<TrunkStream['listen']>[0]): void {
    this.#handlers = handlers;
  }

  write(message: Uint8Array): void {
    this.messages += 1;
    this.sent.push(...TrunkFrames.decode(message).frames);
  }

  drained(): Promise<void> {
    return new Promise(() => undefined);
  }

  end(): void {
    this.ended = true;
  }

  say(channel: number, body: Frame['body']): void {
    this.raw(TrunkFrames.encode({ frames: [{ channel, body }] }).finish());
  }

  raw(bytes: Uint8Array): void {
    this.#handlers?.message(bytes);
  }

  close(why: Ending): void {
    this.#handlers?.closed(why);
  }

  welcome(heartbeatMs = 10_000): void {
    this.say(0, { $case: 'welcome', value: TrunkWelcome.fromPartial({ heartbeatMs }) });
  }

  kinds(): (string | undefined)[] {
    return this.sent.map(({ body }) => body?.$case);
  }
}

const OPEN = { certificate: Buffer.from('certificate'), address: 'here' };

describe(`connector: trunk (seed ${testSeed})`, () => {
  let clock: FakeClock;
  let streams: (ScriptedStream | Error)[];
  let dialed: number[];
  let stop: AbortController;
  let running: Promise<void>;
  let link: TrunkLink;
  let welcomes: number;

  beforeEach(() => {
    clock = new FakeClock();
    streams = [];
    dialed = [];
    welcomes = 0;
    stop = new AbortController();
    link = newLink();
  });

  const newLink = (): TrunkLink =>
    new TrunkLink({
      dial: async () => {
        dialed.push(clock.monotonic());
        const next = streams.shift() ?? new Error('no cloud');
        if (next instanceof Error) throw next;
        return next;
      },
      hello: () => TrunkHello.fromPartial({}),
      onWelcome: () => {
        welcomes += 1;
      },
      clock,
      random: seededRandom(testSeed),
      log: silentLogger,
    });

  const run = async () => {
    running = link.run(stop.signal);
    await settle();
  };

  const end = async () => {
    stop.abort();
    await running;
    expect(link.state).to.equal('stopped');
    expect(clock.armed, 'timers').to.equal(0);
  };

  const bring = async (): Promise<ScriptedStream> => {
    const stream = new ScriptedStream();
    streams.push(stream);
    await run();
    stream.welcome();
    await settle();
    expect(link.state).to.equal('up');
    return stream;
  };

  const handlers = () => {
    const seen: { envelopes: Uint8Array[]; ends: Ending[] } = { envelopes: [], ends: [] };
    return {
      seen,
      envelope: (bytes: Uint8Array) => void seen.envelopes.push(bytes),
      closed: (why: Ending) => void seen.ends.push(why),
    };
  };

  it('goes on with an older cloud, which names no version, and parts from one that speaks none of its own', async () => {
    for (const [version, state] of [
      [0, 'up'],
      [1, 'up'],
      [99, 'down'],
    ] as const) {
      const stream = new ScriptedStream();
      streams.push(stream);
      await run();
      const [hello] = stream.sent.flatMap(({ body }) => (body?.$case === 'hello' ? [body.value] : []));
      expect(hello).to.deep.include({ version: Math.max(...VERSIONS), versions: [...VERSIONS] });
      stream.say(0, { $case: 'welcome', value: TrunkWelcome.fromPartial({ version, heartbeatMs: 10_000 }) });
      await settle();
      expect(link.state, `version ${version}`).to.equal(state);
      stop.abort();
      await running;
      stop = new AbortController();
      link = newLink();
    }
    stop.abort();
    expect(clock.armed, 'timers').to.equal(0);
  });

  it('greets, is up at the welcome, and beats', async () => {
    const stream = await bring();
    expect(welcomes).to.equal(1);
    await clock.advance(seconds(20));
    expect(stream.kinds()).to.deep.equal(['hello', 'heartbeat', 'heartbeat', 'heartbeat']);
    await end();
    expect(stream.kinds().at(-1)).to.equal('bye');
    expect(stream.ended).to.equal(true);
  });

  it('opens no channel before the welcome, nor after the end', async () => {
    const stream = new ScriptedStream();
    streams.push(stream);
    await run();
    expect(link.state).to.equal('greeting');
    expect(link.open(OPEN, handlers())).to.equal(undefined);
    stream.welcome();
    const { seen, ...own } = handlers();
    const channel = link.open(OPEN, own);
    expect(link.hubCount).to.equal(1);
    stream.close(ending(CloseCode.GOING_AWAY, 'gone'));
    expect(seen.ends.map(({ code }) => code)).to.deep.equal([CloseCode.NO_CLOUD]);
    expect(link.open(OPEN, handlers())).to.equal(undefined);
    const { length } = stream.sent;
    channel?.send(Buffer.from('late'), Lane.LIVE);
    channel?.close(ending(CloseCode.DONE, ''));
    await settle();
    expect(stream.sent).to.have.length(length);
    await end();
  });

  it('passes envelopes on as they came, each on its channel', async () => {
    const stream = await bring();
    const [a, b] = [handlers(), handlers()];
    const first = link.open(OPEN, a);
    link.open(OPEN, b);
    const bytes = Buffer.from([0x08, 0x02, 0xff, 0xfe, 0x00]);
    first?.send(bytes, peekLane(bytes));
    await settle();
    const envelope = stream.sent.find(({ body }) => body?.$case === 'envelope');
    expect(envelope?.channel).to.equal(1);
    expect(envelope?.body?.value).to.deep.equal(Uint8Array.from(bytes));
    stream.say(2, { $case: 'envelope', value: bytes });
    stream.say(3, { $case: 'envelope', value: bytes });
    expect([a.seen.envelopes.length, b.seen.envelopes.length]).to.deep.equal([0, 1]);
    await end();
  });

  it('looks into none of them, and sends those of one turn in one message, whoever they are from', async () => {
    const stream = await bring();
    const hubs = Array.from({ length: 100 }, handlers);
    const channels = hubs.map((own) => link.open(OPEN, own));
    await settle();
    const before = stream.messages;
    const bytes = bareEnvelope(Lane.LIVE, encodeUp({ $case: 'bye', value: { reason: 1 } }));
    const looks = await looksInside(async () => {
      for (const channel of channels) channel?.send(bytes, peekLane(bytes));
      await settle();
      for (let channel = 1; channel <= hubs.length; channel++) stream.say(channel, { $case: 'envelope', value: bytes });
    });
    expect(looks).to.equal(0);
    expect(stream.kinds().filter((kind) => kind === 'envelope')).to.have.length(hubs.length);
    expect(stream.messages - before).to.equal(1);
    expect(hubs.map(({ seen }) => seen.envelopes.length)).to.deep.equal(hubs.map(() => 1));
    await end();
  });

  it('would be seen to look inside (negative control)', async () => {
    const bytes = bareEnvelope(Lane.LIVE, encodeUp({ $case: 'bye', value: { reason: 1 } }));
    const looks = await looksInside(async () => Envelope.encode(decodeEnvelope(bytes)).finish());
    expect(looks).to.equal(2);
  });

  it('tells the hub why the cloud closed its channel, once, and forgets it', async () => {
    const stream = await bring();
    const own = handlers();
    const channel = link.open(OPEN, own);
    const value = { code: CloseCode.REFUSED, message: 'no', retryAfterMs: 5_000 };
    stream.say(1, { $case: 'close', value });
    stream.say(1, { $case: 'close', value });
    stream.say(1, { $case: 'envelope', value: Buffer.from('late') });
    expect(own.seen.ends).to.deep.equal([value]);
    expect(own.seen.envelopes).to.have.length(0);
    channel?.close(ending(CloseCode.DONE, ''));
    await settle();
    expect(stream.kinds()).not.to.include('close');
    await end();
  });

  it('never uses the number of a channel twice on one trunk', async () => {
    const stream = await bring();
    for (let i = 0; i < 50; i++) {
      const channel = link.open(OPEN, handlers());
      channel?.close(ending(CloseCode.DONE, ''));
    }
    await settle();
    const opened = stream.sent.filter(({ body }) => body?.$case === 'open').map(({ channel }) => channel);
    expect(opened).to.deep.equal(Array.from({ length: 50 }, (_, i) => i + 1));
    await end();
  });

  it('carries 100 hubs of which one has a cloud that does not take its envelopes: it alone is counted', async () => {
    const stream = await bring();
    stream.bufferedBytes = 1e9;
    const channels = Array.from({ length: 100 }, () => link.open(OPEN, handlers()));
    const greedy = channels[42];
    for (let i = 0; i < 100; i++) greedy?.send(Buffer.alloc(10_000), Lane.BACKFILL);
    for (const channel of channels) channel?.send(Buffer.alloc(10), Lane.LIVE);
    await settle();
    expect(greedy?.queuedBytes).to.be.greaterThan(1_000_000);
    for (const [i, channel] of channels.entries()) if (i !== 42) expect(channel?.queuedBytes).to.be.lessThan(100);
    await end();
  });

  it('gives a silent cloud 15 s, and four heartbeats', async () => {
    const mute = new ScriptedStream();
    const silent = new ScriptedStream();
    streams.push(mute, silent);
    await run();
    await clock.advance(seconds(15));
    expect(mute.ended).to.equal(true);
    expect(link.state).to.equal('down');
    await clock.advance(seconds(1));
    silent.welcome();
    expect(link.state).to.equal('up');
    for (let i = 0; i < 5; i++) {
      await clock.advance(seconds(10));
      silent.say(0, { $case: 'heartbeatAnswer', value: { number: i, hubs: 0 } });
    }
    expect(link.state).to.equal('up');
    await clock.advance(seconds(41));
    expect(silent.ended).to.equal(true);
    await end();
  });

  it('ends a trunk whose cloud breaks the protocol', async () => {
    for (const breach of [
      (stream: ScriptedStream) => stream.raw(Buffer.from([0xff, 0xff])),
      (stream: ScriptedStream) => stream.welcome(),
    ]) {
      const stream = new ScriptedStream();
      streams = [stream];
      link = new TrunkLink({
        dial: async () => {
          const next = streams.shift();
          if (!next || next instanceof Error) throw new Error('no cloud');
          return next;
        },
        hello: () => TrunkHello.fromPartial({}),
        onWelcome: () => undefined,
        clock,
        random: seededRandom(testSeed),
        log: silentLogger,
      });
      stop = new AbortController();
      await run();
      stream.welcome();
      breach(stream);
      await settle();
      expect(stream.ended).to.equal(true);
      expect(link.state).to.equal('down');
      await end();
    }
  });

  it('waits longer and longer, never longer than a minute, but as long as the cloud asks', async () => {
    await run();
    await clock.advance(seconds(1_200));
    const waits = dialed.slice(1).map((at, i) => at - (dialed[i] ?? 0));
    expect(waits.length).to.be.within(20, 120);
    waits.forEach((wait, i) => {
      expect(wait).to.be.at.most(Math.min(60_000, 1_000 * 1.6 ** i) + 1);
    });
    streams.push(Object.assign(new Error('come back later'), { retryAfterMs: 300_000 }));
    const before = dialed.length;
    while (dialed.length === before) await clock.advance(seconds(1));
    await clock.advance(seconds(299));
    expect(dialed).to.have.length(before + 1);
    await clock.advance(seconds(2));
    expect(dialed.length).to.be.greaterThan(before + 1);
    await end();
  });

  it('can be stopped at any moment: while dialing, greeting, waiting, up, or before it ran', async () => {
    const moments: readonly (() => Promise<unknown>)[] = [
      async () => run(),
      async () => {
        streams.push(new ScriptedStream());
        await run();
      },
      async () => bring(),
    ];
    for (const moment of moments) {
      stop = new AbortController();
      link = new TrunkLink({
        dial: async () => {
          const next = streams.shift();
          if (!next || next instanceof Error) throw new Error('no cloud');
          return next;
        },
        hello: () => TrunkHello.fromPartial({}),
        onWelcome: () => undefined,
        clock,
        random: seededRandom(testSeed),
        log: silentLogger,
      });
      await moment();
      await end();
    }
    const late = new ScriptedStream();
    stop = new AbortController();
    let connected: (stream: TrunkStream) => void = () => undefined;
    link = new TrunkLink({
      dial: () => new Promise((resolve) => (connected = resolve)),
      hello: () => TrunkHello.fromPartial({}),
      onWelcome: () => undefined,
      clock,
      random: seededRandom(testSeed),
      log: silentLogger,
    });
    running = link.run(stop.signal);
    stop.abort();
    connected(late);
    await end();
    expect(late.ended, 'what was dialed nevertheless').to.equal(true);
    stop = new AbortController();
    stop.abort();
    await link.run(stop.signal).catch(() => undefined);
  });

  it('has no edge besides its table', () => {
    const states = Object.keys(TRUNK_EDGES) as TrunkState[];
    expect(states).to.have.length(5);
    for (const from of states) {
      for (const to of states) {
        const machine = new StateMachine<TrunkState>('trunk', TRUNK_EDGES, from);
        if (TRUNK_EDGES[from].includes(to)) expect(() => machine.to(to)).not.to.throw();
        else expect(() => machine.to(to), `${from} → ${to}`).to.throw(IllegalTransition);
      }
    }
  });

  it('carries real hubs to a real cloud, which has everything once, although the trunk breaks', async () => {
    const who = await cast();
    const random = seededRandom(testSeed);
    const cloud = new SmallCloud({ node: who.cloud, trust: who.trust, clock, random });
    let host: TrunkHost | undefined;
    link = new TrunkLink({
      dial: async () => {
        let toConnector: Parameters<TrunkStream['listen']>[0] | undefined;
        const own = new TrunkHost(cloud.services, who.connector.certificate, {
          write: (message) => queueMicrotask(() => toConnector?.message(message)),
          bufferedBytes: 0,
          drained: async () => undefined,
          end: (why) => queueMicrotask(() => toConnector?.closed(why)),
        });
        host = own;
        return {
          listen: (h) => {
            toConnector = h;
          },
          write: (message) => queueMicrotask(() => own.received(message)),
          bufferedBytes: 0,
          drained: async () => undefined,
          end: () => own.end(ending(CloseCode.DONE, '')),
        };
      },
      hello: () => TrunkHello.fromPartial({}),
      onWelcome: () => undefined,
      clock,
      random,
      log: silentLogger,
    });
    await run();
    await until(() => link.state === 'up', 'the trunk');

    /** The hub's connection in the LAN: what src/connector/lan-service.ts does with a gRPC stream. */
    const lan = (certificate: Buffer): Pipe => {
      let toHub: PipeHandlers | undefined;
      const early: Uint8Array[] = [];
      const channel: HubChannel | undefined = link.open(
        { certificate, address: 'lan' },
        {
          envelope: (bytes) => (toHub ? toHub.message(bytes) : early.push(bytes)),
          closed: (why) => toHub?.closed(why),
        },
      );
      if (!channel) throw new Error('no channel');
      return {
        listen: (h) => {
          toHub = h;
          for (const bytes of early) h.message(bytes);
        },
        send: (envelope, lane) => channel.send(envelope, lane),
        queuedBytes: 0,
        drained: async () => undefined,
        close: (why) => {
          channel.close(why);
          toHub?.closed(why);
        },
      };
    };

    const first = await SmallHub.start({ identity: who.hub, trust: who.trust, clock, seed: testSeed });
    const second = await SmallHub.start({ identity: who.otherHub, trust: who.trust, clock, seed: testSeed + 1 });
    const hubs = [first, second];
    for (let round = 0; round < 3; round++) {
      const sessions = [];
      for (const hub of hubs) {
        await hub.write([round * 100, round * 100 + 1], 50);
        const session = hub.over(lan(hub.modules.identity.certificate.der));
        expect(await session.opened).to.equal(undefined);
        await hub.write([round * 100 + 2], 50);
        sessions.push(session);
      }
      if (round < 2) {
        host?.end(ending(CloseCode.GOING_AWAY, 'the trunk breaks'));
        for (const session of sessions) expect((await session.ended).code).to.equal(CloseCode.NO_CLOUD);
        await clock.advance(seconds(5));
        await until(() => link.state === 'up', 'the trunk, again');
      }
    }
    for (const hub of hubs) {
      await hub.delivered();
      await expectExactlyOnce(cloud, hub.modules.identity, hub.history);
    }
    expect(cloud.presence.of(who.connector.certificate.identity.machineId).hubCount).to.equal(2);
    for (const hub of hubs) await hub[Symbol.asyncDispose]();
    await end();
  });
});
