// A connector's trunk on the cloud's side, against a connector that is mistaken or malicious: it can harm itself only.
import { expect } from 'chai';
import pino from 'pino';
import { MachineState } from '../../../../gen/occmesh/inventory/v1/inventory.js';
import { Lane } from '../../../../gen/occmesh/link/v1/link.js';
import { CloseCode, type Frame, TrunkFrames, TrunkHello } from '../../../../gen/occmesh/trunk/v1/trunk.js';
import { BUDGET, type BudgetLimits } from '../../../../src/cloud/sessions/budget.js';
import { HubHost } from '../../../../src/cloud/sessions/hub-host.js';
import { serveLink, serveTrunk } from '../../../../src/cloud/sessions/link-service.js';
import { TrunkHost } from '../../../../src/cloud/sessions/trunk-host.js';
import type { CallContext } from '../../../../src/contract/handlers.js';
import type { MeshCertificate } from '../../../../src/identity/certificates.js';
import { seconds } from '../../../../src/kernel/duration.js';
import { silentLogger } from '../../../../src/kernel/log.js';
import { HubSession } from '../../../../src/link/hub-session.js';
import type { Ending, Pipe, PipeHandlers } from '../../../../src/link/pipe.js';
import { PrometheusMeters } from '../../../../src/metrics/prometheus.js';
import { MAX_CHANNELS, MAX_MESSAGE_FRAMES } from '../../../../src/trunk/limits.js';
import { FakeClock, settle } from '../../../support/fake-clock.js';
import { metricValue, parsePrometheus } from '../../../support/prometheus-text.js';
import { seededRandom, testSeed } from '../../../support/seeded-random.js';
import { SmallCloud } from '../../../support/small-cloud.js';
import { HUB, member, OTHER_CUSTOMER } from '../../identity/fixtures.js';
import { type Cast, cast, RecordingMember } from '../../link/fixtures.js';

class Transport {
  readonly frames: Frame[] = [];
  ended: Ending | undefined;
  bufferedBytes = 0;

  write(message: Uint8Array): void {
    this.frames.push(...TrunkFrames.decode(message).frames);
  }

  drained(): Promise<void> {
    return new Promise(() => undefined);
  }

  end(why: Ending): void {
    this.ended = why;
  }

  closeOf(channel: number): CloseCode | undefined {
    for (const frame of this.frames) {
      if (frame.channel === channel && frame.body?.$case === 'close') return frame.body.value.code;
    }
    return undefined;
  }

  countOf(kind: NonNullable<Frame['body']>['$case'], channel?: number): number {
    return this.frames.filter((f) => f.body?.$case === kind && (channel === undefined || f.channel === channel)).length;
  }
}

describe(`sessions: trunk of a connector (seed ${testSeed})`, () => {
  let who: Cast;
  let clock: FakeClock;
  let cloud: SmallCloud;
  before(async () => {
    who = await cast();
  });
  beforeEach(() => {
    clock = new FakeClock();
    cloud = new SmallCloud({ node: who.cloud, trust: who.trust, clock, random: seededRandom(testSeed) });
  });

  const frame = (channel: number, body: Frame['body']): Uint8Array =>
    TrunkFrames.encode({ frames: [{ channel, body }] }).finish();
  const hello = (change: Partial<TrunkHello> = {}): Uint8Array =>
    frame(0, { $case: 'hello', value: TrunkHello.fromPartial({ version: 1, bootId: Buffer.alloc(16), ...change }) });
  const open = (channel: number, certificate: Uint8Array = who.hub.certificate.der): Uint8Array =>
    frame(channel, { $case: 'open', value: { certificate, address: 'here' } });

  const greet = (): { transport: Transport; trunk: TrunkHost } => {
    const transport = new Transport();
    const trunk = new TrunkHost(cloud.services, who.connector.certificate, transport);
    trunk.received(hello());
    return { transport, trunk };
  };

  const presenceOfConnector = () => cloud.presence.of(who.connector.certificate.identity.machineId).state;

  it('greets, answers heartbeats, challenges each hub on its own channel', async () => {
    const { transport, trunk } = greet();
    trunk.received(open(1));
    trunk.received(open(2, who.otherHub.certificate.der));
    trunk.received(frame(0, { $case: 'heartbeat', value: { number: 7, hubs: 2 } }));
    await settle();
    expect(transport.frames.map(({ channel, body }) => [channel, body?.$case])).to.deep.equal([
      [0, 'welcome'],
      [1, 'envelope'],
      [2, 'envelope'],
      [0, 'heartbeatAnswer'],
    ]);
    trunk.end({ code: CloseCode.DONE, message: '', retryAfterMs: 0 });
    expect(clock.armed).to.equal(0);
  });

  const strangers: readonly (readonly [string, () => Promise<Uint8Array>, CloseCode])[] = [
    [
      'a hub of another customer',
      async () => (await member(who.authority, { ...HUB, customerId: OTHER_CUSTOMER })).certificate.der,
      CloseCode.REFUSED,
    ],
    ['a connector in place of a hub', async () => who.connector.certificate.der, CloseCode.UNAUTHENTIC],
    ['a certificate of another mesh', async () => who.foreignCloud.certificate.der, CloseCode.UNAUTHENTIC],
    ['something that is no certificate', async () => Buffer.from('no'), CloseCode.UNAUTHENTIC],
  ];
  for (const [name, certificate, code] of strangers) {
    it(`refuses ${name} on open, without harm to the others`, async () => {
      const { transport, trunk } = greet();
      trunk.received(open(1));
      trunk.received(open(2, await certificate()));
      trunk.received(open(3, who.otherHub.certificate.der));
      await settle();
      expect(transport.closeOf(2)).to.equal(code);
      expect(transport.countOf('envelope', 2)).to.equal(0);
      expect([transport.countOf('envelope', 1), transport.countOf('envelope', 3)]).to.deep.equal([1, 1]);
      expect(transport.ended).to.equal(undefined);
      // What it sends nevertheless is for nobody.
      trunk.received(frame(2, { $case: 'envelope', value: Buffer.from('x') }));
      expect(transport.ended).to.equal(undefined);
      trunk.end({ code: CloseCode.DONE, message: '', retryAfterMs: 0 });
    });
  }

  it('refuses a hub that has been retired', async () => {
    cloud.inventory.revoked.add(who.hub.certificate.key.keyId.toString('hex'));
    const { transport, trunk } = greet();
    trunk.received(open(1));
    await settle();
    expect(transport.closeOf(1)).to.equal(CloseCode.REFUSED);
    trunk.end({ code: CloseCode.DONE, message: '', retryAfterMs: 0 });
  });

  it('ends only the session of a hub that sends garbage', async () => {
    const { transport, trunk } = greet();
    trunk.received(open(1));
    trunk.received(open(2, who.otherHub.certificate.der));
    trunk.received(frame(1, { $case: 'envelope', value: Buffer.from([0xff, 0xff]) }));
    await settle();
    expect(transport.closeOf(1)).to.equal(CloseCode.PROTOCOL);
    expect(transport.closeOf(2)).to.equal(undefined);
    trunk.end({ code: CloseCode.DONE, message: '', retryAfterMs: 0 });
  });

  const breaches: readonly (readonly [string, () => Uint8Array[]])[] = [
    ['a channel id that was used before', () => [open(1), frame(1, { $case: 'close', value: close }), open(1)]],
    ['a channel id below an earlier one', () => [open(5), open(4)]],
    ['a channel with the number of the trunk', () => [open(0)]],
    [
      'an envelope on a channel that was never opened',
      () => [open(1), frame(9, { $case: 'envelope', value: Buffer.alloc(1) })],
    ],
    ['a message that does not parse', () => [Buffer.from([0xff, 0xff, 0xff])]],
    ['a frame without content', () => [TrunkFrames.encode({ frames: [{ channel: 1, body: undefined }] }).finish()]],
    ['a second hello', () => [hello()]],
    ['what only the cloud may say', () => [frame(0, { $case: 'heartbeatAnswer', value: { number: 1, hubs: 0 } })]],
  ];
  const close = { code: CloseCode.DONE, message: '', retryAfterMs: 0 };
  for (const [name, messages] of breaches) {
    it(`is ended by ${name}`, async () => {
      const { transport, trunk } = greet();
      for (const message of messages()) trunk.received(message);
      expect(transport.ended?.code).to.equal(CloseCode.PROTOCOL);
      expect(cloud.services.trunks.all()).to.have.length(0);
      const { length } = transport.frames;
      trunk.received(open(100));
      await settle();
      expect(transport.frames).to.have.length(length);
      expect(clock.armed).to.equal(0);
    });
  }

  it('does not go on with the rest of a message whose first frame has ended it', async () => {
    const { transport, trunk } = greet();
    trunk.received(
      TrunkFrames.encode({
        frames: [
          { channel: 0, body: { $case: 'bye', value: { reason: 'x' } } },
          { channel: 1, body: { $case: 'open', value: { certificate: who.hub.certificate.der, address: '' } } },
        ],
      }).finish(),
    );
    await settle();
    expect(transport.countOf('envelope')).to.equal(0);
    expect(clock.armed).to.equal(0);
  });

  it('takes nothing before hello, nor a version that it does not speak', () => {
    for (const [first, code, words] of [
      [open(1), CloseCode.PROTOCOL, 'begins with hello'],
      [hello({ version: 0 }), CloseCode.VERSION, 'Update the connector.'],
      [hello({ version: 99, versions: [97, 98, 99] }), CloseCode.VERSION, 'Update the cloud.'],
      [hello({ versions: Array.from({ length: 17 }, (_, n) => n) }), CloseCode.PROTOCOL, '17 protocol versions'],
      [hello({ capabilities: Array.from({ length: 65 }, (_, n) => n) }), CloseCode.PROTOCOL, '65 capabilities'],
    ] as const) {
      const transport = new Transport();
      new TrunkHost(cloud.services, who.connector.certificate, transport).received(first);
      expect(transport.ended?.code, words).to.equal(code);
      expect(transport.ended?.message).to.include(words);
    }
    expect(clock.armed).to.equal(0);
  });

  it('speaks the highest version that both know, and ignores capabilities that it does not know', async () => {
    for (const change of [{}, { versions: [1] }, { version: 3, versions: [1, 2, 3], capabilities: [7, 4_000_000] }]) {
      const transport = new Transport();
      const trunk = new TrunkHost(cloud.services, who.connector.certificate, transport);
      trunk.received(hello(change));
      await settle();
      const [welcome] = transport.frames.flatMap(({ body }) => (body?.$case === 'welcome' ? [body.value] : []));
      expect(welcome).to.deep.include({ version: 1, capabilities: [] });
      trunk.end({ code: CloseCode.DONE, message: '', retryAfterMs: 0 });
    }
  });

  it('ignores frames of a channel that has ended', async () => {
    const { transport, trunk } = greet();
    trunk.received(open(1));
    trunk.received(frame(1, { $case: 'close', value: close }));
    for (let i = 0; i < 3; i++) trunk.received(frame(1, { $case: 'envelope', value: Buffer.from('late') }));
    trunk.received(frame(1, { $case: 'close', value: close }));
    await settle();
    expect(transport.ended).to.equal(undefined);
    expect(transport.countOf('close', 1), 'no answer to a close').to.equal(0);
    trunk.end({ code: CloseCode.DONE, message: '', retryAfterMs: 0 });
    expect(clock.armed).to.equal(0);
  });

  it(`carries ${MAX_CHANNELS} hubs and not one more`, async () => {
    const { transport, trunk } = greet();
    for (let id = 1; id <= MAX_CHANNELS; id++) trunk.received(open(id));
    expect(transport.ended).to.equal(undefined);
    trunk.received(open(MAX_CHANNELS + 1));
    expect(transport.ended?.code).to.equal(CloseCode.EXHAUSTED);
    expect(clock.armed, 'all sessions have ended').to.equal(0);
  }).timeout(20_000);

  describe('of a connector that opens without end', () => {
    const lines: { msg: string; address?: string }[] = [];
    const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line)) });
    const { rates } = BUDGET;
    const small = { ...BUDGET, rates: { ...rates, channels: { burst: 50, perSecond: 1 } } };
    const newCloud = (budget: BudgetLimits) =>
      new SmallCloud({ node: who.cloud, trust: who.trust, clock, random: seededRandom(testSeed), log, budget });
    const flood = async (budget: BudgetLimits) => {
      lines.length = 0;
      cloud = newCloud(budget);
      const { transport, trunk } = greet();
      const address = 'x'.repeat(100_000);
      for (let id = 1; id <= 200; id++) {
        trunk.received(frame(id, { $case: 'open', value: { certificate: Buffer.from('no'), address } }));
      }
      await settle();
      const codes = transport.frames.flatMap(({ body }) => (body?.$case === 'close' ? [body.value.code] : []));
      return { transport, trunk, verified: codes.filter((code) => code === CloseCode.UNAUTHENTIC).length, codes };
    };

    it('looks at so many certificates, tells of fewer, and goes on with the others', async () => {
      const { transport, trunk, verified, codes } = await flood(small);
      expect(codes).to.have.length(200);
      expect(verified).to.equal(50);
      expect(codes.slice(50).every((code) => code === CloseCode.EXHAUSTED)).to.equal(true);
      expect(lines.filter(({ msg }) => msg === 'hub refused')).to.have.length(30);
      expect(Math.max(...lines.map((line) => JSON.stringify(line).length))).to.be.below(3_000);
      await clock.advance(seconds(1));
      trunk.received(open(201));
      await settle();
      expect(transport.countOf('envelope', 201)).to.equal(1);
      trunk.end({ code: CloseCode.DONE, message: '', retryAfterMs: 0 });
      const control = await flood(BUDGET);
      expect(control.verified, 'control').to.equal(200);
      control.trunk.end({ code: CloseCode.DONE, message: '', retryAfterMs: 0 });
    });

    it('ends it when hardly anything that it asks for can be had', async () => {
      const refusals = { burst: 100, perSecond: 1 };
      const { transport, codes } = await flood({ ...small, rates: { ...small.rates, refusals } });
      expect(transport.ended).to.include({ code: CloseCode.EXHAUSTED, retryAfterMs: 1_000 });
      expect(codes).to.have.length(101);
    });

    it('ends it for heartbeats without end, and for more frames than a message may have', () => {
      const beat = { channel: 0, body: { $case: 'heartbeat', value: { number: 1, hubs: 0 } } } as const;
      const beats = (count: number) => TrunkFrames.encode({ frames: Array<Frame>(count).fill(beat) }).finish();
      const { burst } = BUDGET.rates.frames;
      cloud = newCloud(BUDGET);
      const { transport, trunk } = greet();
      trunk.received(beats(burst));
      expect(transport.ended, 'so many may come').to.equal(undefined);
      trunk.received(beats(1));
      expect(transport.ended?.code).to.equal(CloseCode.EXHAUSTED);
      const nothing = (count: number) => {
        const other = greet();
        const envelope = { channel: 0, body: { $case: 'envelope', value: Buffer.alloc(0) } } as const;
        other.trunk.received(TrunkFrames.encode({ frames: Array<Frame>(count).fill(envelope) }).finish());
        return other.transport.ended;
      };
      expect(nothing(MAX_MESSAGE_FRAMES)).to.equal(undefined);
      expect(nothing(MAX_MESSAGE_FRAMES + 1)?.message).to.match(/8193 frames/);
    });

    it('tells it when to come back with its hubs while very many come, counts them, and goes on', async () => {
      const meters = new PrometheusMeters();
      cloud = new SmallCloud({ node: who.cloud, trust: who.trust, clock, random: seededRandom(testSeed), meters });
      const turnedAway = async () =>
        metricValue(parsePrometheus(await meters.text()), 'occ_cloud_refused_total', { reason: 'busy' });
      const { reception } = cloud.services;
      const { customerId } = who.connector.certificate.identity;
      const inside = await Promise.all(Array.from({ length: 256 }, () => reception.enter(customerId)));
      const waiting = Array.from({ length: 250 }, () => reception.enter(customerId));
      const { transport, trunk } = greet();
      trunk.received(open(1));
      await settle();
      const closed = transport.frames.find(({ channel, body }) => channel === 1 && body?.$case === 'close')?.body;
      if (closed?.$case !== 'close') throw new Error('the channel is not closed');
      expect(closed.value.code).to.equal(CloseCode.EXHAUSTED);
      expect(closed.value.retryAfterMs).to.be.within(1_000, 3_000);
      expect(await turnedAway()).to.equal(1);
      for (const leave of inside) leave();
      for (const turn of waiting) (await turn)();
      trunk.received(open(2));
      expect(transport.closeOf(2)).to.equal(undefined);
      await settle();
      expect(transport.countOf('envelope', 2), 'a challenge').to.equal(1);
      expect(await turnedAway(), 'no other').to.equal(1);
    });

    it('ends it for more addresses than a machine has', () => {
      const transport = new Transport();
      const trunk = new TrunkHost(cloud.services, who.connector.certificate, transport);
      trunk.received(hello({ lanAddresses: Array.from({ length: 1_000 }, (_, i) => `198.51.100.10:${i}00`) }));
      expect(transport.ended?.code).to.equal(CloseCode.PROTOCOL);
    });
  });

  it('comes again as often as somebody can need, and so does a hub on its own', async () => {
    const once = { burst: 3, perSecond: 1 };
    const budget = { ...BUDGET, rates: { ...BUDGET.rates, trunks: once, links: once } };
    cloud = new SmallCloud({ node: who.cloud, trust: who.trust, clock, random: seededRandom(testSeed), budget });
    const stream = {
      ...{
        peer: 'here',
        bufferedBytes: 0,
        closed: Promise.resolve(undefined),
        write: () => true,
        pause() {},
        resume() {},
      },
      ...{ drained: async () => {}, forEach: async () => {}, end: () => {}, close: () => {} },
      async *[Symbol.asyncIterator]() {},
    };
    const visits = async (serve: typeof serveTrunk, { certificate }: { certificate: MeshCertificate }) => {
      const { machineId, customerId, role } = certificate.identity;
      const machine = { kind: 'machine', role, machineId, customerId, certificate: certificate.der };
      const context = { principal: { ...machine, keyId: certificate.key.keyId } } as CallContext;
      const results: unknown[] = [];
      for (let i = 0; i < 5; i++) {
        results.push(
          await serve(cloud.services, stream, context).catch(({ code, reason, retryAfter }) => [
            code,
            reason,
            retryAfter > 0,
          ]),
        );
      }
      return results;
    };
    const refused = ['contract.exhausted', 'EXHAUSTED', true];
    const expected = [undefined, undefined, undefined, refused, refused];
    expect(await visits(serveTrunk, who.connector)).to.deep.equal(expected);
    expect(await visits(serveLink, who.hub)).to.deep.equal(expected);
    await clock.advance(seconds(60));
  });

  it('keeps of a message only what waits, whatever the connector has filled it with', async () => {
    const kept: Uint8Array[] = [];
    cloud.services.ingest.batch = (_author, { content }) => {
      kept.push(content);
      return new Promise(() => undefined);
    };
    const { transport, trunk } = greet();
    trunk.received(open(1));
    await settle();
    let up: PipeHandlers | undefined;
    const pass = () => {
      for (const { channel, body } of transport.frames.splice(0)) {
        if (channel === 1 && body?.$case === 'envelope') up?.message(body.value);
      }
    };
    const pipe: Pipe = {
      listen: (handlers) => {
        up = handlers;
      },
      send: (value) => {
        const frames: Frame[] = [{ channel: 1, body: { $case: 'envelope', value } }];
        // A field that nobody knows, with 64 KiB in it.
        trunk.received(
          Buffer.concat([
            TrunkFrames.encode({ frames }).finish(),
            Buffer.from([0x12, 0x80, 0x80, 0x04]),
            Buffer.alloc(65_536),
          ]),
        );
      },
      queuedBytes: 0,
      drained: async () => undefined,
      close: () => undefined,
    };
    const member = new RecordingMember(who.hub, who.trust, clock);
    const session = new HubSession({ pipe, member, clock, nonce: Buffer.alloc(32), log: silentLogger });
    pass();
    await settle();
    pass();
    await settle();
    expect(session.state).to.equal('up');
    // 0x0a: with a log, as every Batch begins.
    const signed = { content: Buffer.alloc(300, 0x0a), signature: Buffer.alloc(64), keyId: Buffer.alloc(8) };
    for (let i = 0; i < 5; i++) session.sendContent({ $case: 'batch', value: signed }, Lane.LIVE);
    expect(kept).to.have.length(5);
    for (const { buffer } of kept) expect(buffer.byteLength).to.be.below(10_000);
    trunk.end({ code: CloseCode.DONE, message: '', retryAfterMs: 0 });
    session.close({ code: CloseCode.DONE, message: '', retryAfterMs: 0 });
  });

  it('is ended by a connector that asks and never reads', async () => {
    // So much that only this bound is left.
    const budget = { ...BUDGET, rates: { ...BUDGET.rates, frames: { burst: 1e9, perSecond: 1 } } };
    cloud = new SmallCloud({ node: who.cloud, trust: who.trust, clock, random: seededRandom(testSeed), budget });
    const { transport, trunk } = greet();
    await settle();
    transport.bufferedBytes = 1e9;
    const beat = { channel: 0, body: { $case: 'heartbeat' as const, value: { number: 1, hubs: 0 } } };
    const message = TrunkFrames.encode({ frames: Array.from({ length: 8_000 }, () => beat) }).finish();
    for (let i = 0; i < 200 && !transport.ended; i++) trunk.received(message);
    expect(transport.ended?.code).to.equal(CloseCode.EXHAUSTED);
    expect(transport.ended?.message).to.match(/does not read/);
  });

  it('keeps once what its hubs have in common with it', () => {
    const { trunk } = greet();
    const peer = who.hub.certificate;
    const [carried, direct] = [trunk, undefined].map((connector) => new HubHost(cloud.services, { connector, peer }));
    expect([carried?.customer === trunk.customer, carried?.connectorId]).to.deep.equal([true, trunk.connectorId]);
    expect([direct?.customer, direct?.connectorId]).to.deep.equal([trunk.customer, undefined]);
    trunk.end({ code: CloseCode.DONE, message: '', retryAfterMs: 0 });
  });

  it('gives way to a newer trunk of the same connector, which stays the current one', async () => {
    const older = greet();
    older.trunk.received(open(1));
    const newer = greet();
    expect(older.transport.ended?.code).to.equal(CloseCode.SUPERSEDED);
    expect(cloud.services.trunks.of(newer.trunk.connectorId)).to.equal(newer.trunk);
    expect(presenceOfConnector()).to.equal(MachineState.ONLINE);
    newer.trunk.end({ code: CloseCode.DONE, message: '', retryAfterMs: 0 });
    expect(clock.armed).to.equal(0);
  });

  it('is over after 30 s of silence, and lost later; after a goodbye it is shut down', async () => {
    const { transport } = greet();
    await clock.advance(seconds(29));
    expect(transport.ended).to.equal(undefined);
    await clock.advance(seconds(1));
    expect(transport.ended?.code).to.equal(CloseCode.GOING_AWAY);
    await clock.advance(seconds(45));
    cloud.presence.sweep();
    expect(presenceOfConnector()).to.equal(MachineState.LOST);
    const polite = greet();
    polite.trunk.received(frame(0, { $case: 'bye', value: { reason: 'shut down' } }));
    expect(presenceOfConnector()).to.equal(MachineState.SHUT_DOWN);
    expect(clock.armed).to.equal(0);
  });
});
