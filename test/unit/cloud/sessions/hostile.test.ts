// Hubs and connectors that mean harm: what one of them can do ends at itself.
import { expect } from 'chai';
import { Envelope, type Hello, Lane, LinkUp, Path } from '../../../../gen/occmesh/link/v1/link.js';
import { CloseCode, TrunkFrames, TrunkHello } from '../../../../gen/occmesh/trunk/v1/trunk.js';
import { readSessionRecord } from '../../../../src/cloud/sessions/session-record.js';
import { TrunkHost } from '../../../../src/cloud/sessions/trunk-host.js';
import { seconds } from '../../../../src/kernel/duration.js';
import { encodeUp, signedEnvelope } from '../../../../src/link/envelope.js';
import { helloInput } from '../../../../src/link/handshake.js';
import { ending } from '../../../../src/link/pipe.js';
import { MAX_GENERATION } from '../../../../src/link/version.js';
import { PrometheusMeters } from '../../../../src/metrics/prometheus.js';
import { FakeClock, settle } from '../../../support/fake-clock.js';
import { MemoryCarrier } from '../../../support/memory-pipe.js';
import { metricValue, parsePrometheus } from '../../../support/prometheus-text.js';
import { seededRandom, testSeed } from '../../../support/seeded-random.js';
import { keyOf, SmallCloud } from '../../../support/small-cloud.js';
import { SmallHub } from '../../../support/small-hub.js';
import { until } from '../../../support/until.js';
import { type Cast, cast } from '../../link/fixtures.js';

describe(`sessions: hostile peers (seed ${testSeed})`, () => {
  let who: Cast;
  let clock: FakeClock;
  let cloud: SmallCloud;
  const random = seededRandom(testSeed);
  before(async () => {
    who = await cast();
  });
  beforeEach(() => {
    clock = new FakeClock();
    cloud = new SmallCloud({ node: who.cloud, trust: who.trust, clock, random });
  });

  const newHub = () => SmallHub.start({ identity: who.hub, trust: who.trust, clock, seed: testSeed });
  const quarantine = () => cloud.inventory.quarantined.get(who.hub.certificate.identity.machineId);

  it('counts whom it refuses, by reason', async () => {
    const meters = new PrometheusMeters();
    const measured = new SmallCloud({ node: who.cloud, trust: who.trust, clock, random, meters });
    const refused = async (reason: string) =>
      metricValue(parsePrometheus(await meters.text()), 'occ_cloud_refused_total', { reason });
    await using hub = await newHub();
    const { session } = await hub.up(measured);
    session.close(ending(CloseCode.DONE, 'done'));
    expect(await refused('unauthentic'), 'an honest hub').to.equal(0);
    // A carrier that changes one byte of the Hello's signature.
    const lan = new MemoryCarrier(({ direction, bytes }) => {
      if (direction === 'down') return [bytes];
      const envelope = Envelope.decode(bytes);
      if (envelope.signature.length > 0) envelope.signature[0] = (envelope.signature[0] ?? 0) ^ 1;
      return [Envelope.encode(envelope).finish()];
    });
    const forged = hub.connect(measured, lan);
    await until(() => forged.session.state === 'ended', 'a verdict');
    expect(await refused('unauthentic')).to.equal(1);
    expect(await refused('protocol')).to.equal(0);
  });

  it('does not take a Hello that was held back for a session: the hub has gone on elsewhere', async () => {
    await using hub = await newHub();
    // The carrier has a channel to the cloud for the hub, and gives the hub that channel's challenge.
    const trunk = new MemoryCarrier();
    const held = cloud.serve(trunk.cloud, who.hub.certificate);
    const lan = new MemoryCarrier(({ direction, bytes }) => {
      if (direction === 'up') return [];
      return [trunk.of('down')[0] ?? bytes];
    });
    const { session } = hub.connect(cloud, lan);
    await until(() => lan.of('up').length > 0, 'the Hello');
    session.close(ending(CloseCode.NO_CLOUD, 'try another one'));
    await settle();

    const live = await hub.up(cloud);
    await hub.write([1, 2, 3]);
    await hub.delivered();
    const before = await readSessionRecord(cloud.store, keyOf(who.hub));

    expect(held.session.state).to.equal('awaiting-hello');
    trunk.hub.send(lan.of('up')[0] ?? new Uint8Array(0), Lane.CONTROL);
    await until(() => held.session.state === 'ended' || held.session.state === 'up', 'a verdict');
    expect(trunk.endings.hub?.code).to.equal(CloseCode.SUPERSEDED);
    expect(live.session.state).to.equal('up');
    expect(cloud.services.sessions.isCurrent(live.host)).to.equal(true);
    expect(quarantine()).to.equal(undefined);
    expect(await readSessionRecord(cloud.store, keyOf(who.hub))).to.deep.equal(before);
    live.session.close(ending(CloseCode.DONE, 'done'));
  });

  it('refuses a generation after which no other could be written down', async () => {
    await using hub = await newHub();
    const honest = await hub.up(cloud);
    honest.session.close(ending(CloseCode.DONE, 'done'));
    for (const [generation, code] of [
      [MAX_GENERATION + 1, CloseCode.PROTOCOL],
      [Number.MAX_SAFE_INTEGER - 1, CloseCode.PROTOCOL],
      [MAX_GENERATION, undefined],
    ] as const) {
      const carrier = new MemoryCarrier(({ direction, number, bytes }) =>
        direction === 'up' && number === 0 ? [presenting(generation, bytes, carrier)] : [bytes],
      );
      const { session, cloudSession } = hub.connect(cloud, carrier);
      await until(() => cloudSession.state === 'up' || cloudSession.state === 'ended', 'a verdict');
      expect(carrier.endings.hub?.code, `generation ${generation}`).to.equal(code);
      session.close(ending(CloseCode.DONE, 'done'));
      await settle();
      // Whatever was presented, the record can be read.
      await readSessionRecord(cloud.store, keyOf(who.hub));
    }
  });

  it('shows a log of which a carrier lets nothing through: the Hello has named it', async () => {
    const before = await newHub();
    await before.write([1, 2]);
    const name = before.wal.openLog?.log.toString('hex');
    // A log of an earlier start: heartbeats speak of the open one only.
    await using hub = await before.restarted();
    const carrier = new MemoryCarrier(({ direction, bytes }) => {
      if (direction === 'up' && Envelope.decode(bytes).lane !== Lane.CONTROL) return [];
      return [bytes];
    });
    const { session, host } = await hub.up(cloud, carrier);
    const shown = host.ledger.all().map(([log, { held }]) => ({ log, held: held.size }));
    expect(shown).to.deep.equal([{ log: name, held: 0 }]);
    session.close(ending(CloseCode.DONE, 'done'));
  });

  it('refuses a Hello that says more of itself than anybody wants to read', async () => {
    await using hub = await newHub();
    for (const change of [{ software: 'x'.repeat(1_025) }, { previousEnd: 'x'.repeat(1_025) }]) {
      const carrier = new MemoryCarrier(({ direction, number, bytes }) =>
        direction === 'up' && number === 0 ? [changed(change, bytes, carrier)] : [bytes],
      );
      const { session, cloudSession } = hub.connect(cloud, carrier);
      await until(() => cloudSession.state === 'ended', 'a verdict');
      expect(carrier.endings.hub?.code).to.equal(CloseCode.PROTOCOL);
      session.close(ending(CloseCode.DONE, 'done'));
    }
  });

  it('knows no clock so wrong that the others could not be listed', () => {
    const presence = cloud.presence;
    for (const clockMs of [-Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER]) {
      presence.up('hub', { path: Path.DIRECT, connectorId: '', software: '', clockMs });
      expect(Number.isSafeInteger(presence.of('hub').clockOffsetMs), `${clockMs}`).to.equal(true);
    }
  });

  it('does not greet a connector that was retired before it said hello, nor wait for one that says nothing', async () => {
    const begin = () => {
      const seen: { ended?: CloseCode; welcomed: boolean } = { welcomed: false };
      const trunk = new TrunkHost(cloud.services, who.connector.certificate, {
        bufferedBytes: 0,
        drained: async () => undefined,
        write: (message) => {
          seen.welcomed ||= TrunkFrames.decode(message).frames.some(({ body }) => body?.$case === 'welcome');
        },
        end: ({ code }) => {
          seen.ended = code;
        },
      });
      return { trunk, seen };
    };
    const nothing = TrunkFrames.encode({ frames: [] }).finish();
    const silent = begin();
    for (let i = 0; i < 7; i++) {
      silent.trunk.received(nothing);
      await clock.advance(seconds(5));
    }
    expect(silent.seen.ended, 'without hello').to.equal(CloseCode.GOING_AWAY);

    const { trunk, seen } = begin();
    cloud.inventory.revoked.add(who.connector.key.publicKey.keyId.toString('hex'));
    const value = TrunkHello.fromPartial({ version: 1, bootId: Buffer.alloc(16) });
    trunk.received(TrunkFrames.encode({ frames: [{ channel: 0, body: { $case: 'hello', value } }] }).finish());
    await settle();
    expect(seen).to.deep.equal({ welcomed: false, ended: CloseCode.REFUSED });
  });

  const presenting = (generation: number, bytes: Uint8Array, carrier: MemoryCarrier): Uint8Array =>
    changed({ generation }, bytes, carrier);

  /** The Hello of `bytes` with a change, signed by the hub as its own. */
  const changed = (change: Partial<Hello>, bytes: Uint8Array, carrier: MemoryCarrier): Uint8Array => {
    const { message } = LinkUp.decode(Envelope.decode(bytes).payload);
    const challenge = Envelope.decode(carrier.of('down')[0] ?? new Uint8Array(0)).payload;
    if (message?.$case !== 'hello') throw new Error('not a Hello');
    const payload = encodeUp({ $case: 'hello', value: { ...message.value, ...change } });
    return signedEnvelope(payload, who.hub.key.sign(helloInput(challenge, payload)));
  };
});
