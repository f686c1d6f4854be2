// Advice of the cloud where and when to connect: followed, but not by all hubs at the same moment.
import { expect } from 'chai';
import { ByeReason } from '../../../gen/occmesh/link/v1/link.js';
import { CloseCode } from '../../../gen/occmesh/trunk/v1/trunk.js';
import { seconds } from '../../../src/kernel/duration.js';
import { decodeEnvelope, decodeUp } from '../../../src/link/envelope.js';
import { FakeClock, settle } from '../../support/fake-clock.js';
import { seededRandom, testSeed } from '../../support/seeded-random.js';
import { SmallCloud } from '../../support/small-cloud.js';
import { SmallHub } from '../../support/small-hub.js';
import { type Cast, cast } from '../link/fixtures.js';

describe(`hub: advice (seed ${testSeed})`, () => {
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

  /** A hub with this seed, advised; and the second in which it has left its session. */
  const advised = async (seed: number, returnToConnector: boolean) => {
    await using hub = await SmallHub.start({ identity: who.hub, trust: who.trust, clock, seed });
    const { session, cloudSession, carrier } = await hub.up(cloud);
    cloudSession.send({ $case: 'advice', value: { reconnectWithinMs: 60_000, returnToConnector } });
    await settle();
    let after = 0;
    for (; session.state === 'up' && after < 61; after++) {
      await clock.advance(seconds(1));
      await settle();
    }
    const why = await session.ended;
    const said = carrier.of('up').map((envelope) => decodeUp(decodeEnvelope(envelope).payload));
    return { after, why, byes: said.flatMap((m) => (m.$case === 'bye' ? [m.value.reason] : [])), hub };
  };

  it('is followed within the time that it names, each hub at a moment of its own', async () => {
    const moments = new Set<number>();
    for (let seed = 1; seed <= 6; seed++) {
      const { after, why, byes, hub } = await advised(seed, false);
      moments.add(after);
      expect(after).to.be.within(1, 60);
      expect(why.code).to.equal(CloseCode.DONE);
      // It comes back at once: nobody should take it for shut down.
      expect(byes).to.deep.equal([ByeReason.PATH_CHANGE]);
      expect(hub.calledBack.times).to.equal(0);
    }
    expect(moments.size).to.be.at.least(3);
  });

  it('takes a hub back to its connectors', async () => {
    const { hub } = await advised(1, true);
    expect(hub.calledBack.times).to.equal(1);
  });

  it('control: without it a session stays', async () => {
    await using hub = await SmallHub.start({ identity: who.hub, trust: who.trust, clock, seed: 1 });
    const { session } = await hub.up(cloud);
    for (let second = 0; second < 61; second++) {
      await clock.advance(seconds(1));
      await settle();
    }
    expect(session.state).to.equal('up');
    session.close({ code: CloseCode.DONE, message: '', retryAfterMs: 0 });
  });
});
