// Programs of different releases: which version they use, what they can do, and what is said when they cannot talk.
import { expect } from 'chai';
import fc from 'fast-check';
import { Envelope, LinkUp } from '../../../gen/occmesh/link/v1/link.js';
import { CloseCode } from '../../../gen/occmesh/trunk/v1/trunk.js';
import type { LinkFault } from '../../../src/link/fault.js';
import {
  agreeOnCapabilities,
  agreeOnVersion,
  MOST_CAPABILITIES,
  MOST_VERSIONS,
  olderServer,
  type Speaks,
  VERSIONS,
} from '../../../src/link/negotiation.js';
import { settle } from '../../support/fake-clock.js';
import { seededRandom, testSeed } from '../../support/seeded-random.js';
import { type Cast, cast, connect, type Link } from './fixtures.js';

/** What release 0.n speaks, by the rule in link.proto. */
const release = (n: number, capabilities: number[] = []): Speaks => ({
  versions: [n - 2, n - 1, n].filter((version) => version > 0),
  capabilities,
});

const faultOf = (action: () => unknown): LinkFault | undefined => {
  try {
    action();
    return undefined;
  } catch (thrown) {
    return thrown as LinkFault;
  }
};

describe(`link: releases that differ (seed ${testSeed})`, () => {
  let who: Cast;
  before(async () => {
    who = await cast();
  });

  const meet = async (hub: Speaks, cloud: Speaks): Promise<Link> => {
    const link = connect(who, { random: seededRandom(testSeed), speaks: { hub, cloud } });
    await settle();
    return link;
  };

  it('speaks its own version and the two before it', () => {
    expect(VERSIONS).to.deep.equal(release(Math.max(...VERSIONS)).versions);
  });

  for (const [hub, cloud, version] of [
    [1, 1, 1],
    [1, 3, 1],
    [2, 4, 2],
    // An order of updates that nobody recommends.
    [3, 1, 1],
  ] as const) {
    it(`a hub of 0.${hub} and a cloud of 0.${cloud} speak version ${version}`, async () => {
      const link = await meet(release(hub), release(cloud));
      expect(link.host.hellos.map((hello) => hello.version)).to.deep.equal([version]);
      expect(link.member.isUp).to.equal(true);
      link.carrier.cut();
    });
  }

  for (const [hub, cloud, words] of [
    [1, 4, 'Update the hub.'],
    [4, 1, 'Update the cloud.'],
  ] as const) {
    it(`a hub of 0.${hub} and a cloud of 0.${cloud} part with: ${words}`, async () => {
      const link = await meet(release(hub), release(cloud));
      const why = await link.hub.opened;
      expect(why).to.include({ code: CloseCode.VERSION });
      expect(why?.message).to.include(words);
      expect(why?.retryAfterMs, 'it need not be asked again soon').to.be.greaterThan(60_000);
      expect(link.host.hellos).to.have.length(0);
    });
  }

  it('a hub that insists on a version is refused by the cloud as well', async () => {
    const link = connect(who, { random: seededRandom(testSeed), speaks: { cloud: release(4), hub: release(4) } });
    link.carrier.hook = ({ direction, bytes }) => {
      const envelope = Envelope.decode(bytes);
      const message = direction === 'up' ? LinkUp.decode(envelope.payload).message : undefined;
      if (message?.$case !== 'hello') return [bytes];
      message.value.version = 1;
      return [Envelope.encode({ ...envelope, payload: LinkUp.encode({ message }).finish() }).finish()];
    };
    await settle();
    expect(link.host.hellos).to.have.length(0);
    const [why] = link.host.endings;
    expect(why).to.include({ code: CloseCode.VERSION });
    expect(why?.message).to.include('the hub speaks version 1, the cloud versions 2, 3, 4. Update the hub.');
  });

  it('uses capabilities that both have, and ignores what it does not know', async () => {
    const link = await meet(release(1, [2, 3, 4_000_000]), release(2, [3, 5]));
    expect(link.member.isUp).to.equal(true);
    expect(link.member.welcomes.map(({ capabilities }) => capabilities)).to.deep.equal([[3]]);
    link.carrier.cut();
  });

  it('an older minor is served without what came later', async () => {
    const link = await meet(release(1), release(3, [1, 2, 3]));
    expect(link.member.welcomes.map(({ capabilities }) => capabilities)).to.deep.equal([[]]);
    link.carrier.cut();
  });

  it('agrees on the highest in common, whoever asks, or names the older one', () => {
    const versions = fc.uniqueArray(fc.integer({ min: 1, max: 30 }), { maxLength: MOST_VERSIONS });
    fc.assert(
      fc.property(versions, versions, (hub, cloud) => {
        const sides = [
          { role: 'hub', versions: hub },
          { role: 'cloud', versions: cloud },
        ] as const;
        const common = hub.filter((version) => cloud.includes(version));
        const older = Math.max(0, ...hub) < Math.max(0, ...cloud) ? 'hub' : 'cloud';
        if (common.length > 0) {
          expect(agreeOnVersion(...sides)).to.equal(Math.max(...common));
          expect(agreeOnVersion(sides[1], sides[0])).to.equal(Math.max(...common));
          return;
        }
        const fault = faultOf(() => agreeOnVersion(...sides));
        expect(fault).to.include({ code: 'link.version', permanent: true });
        if (hub.length > 0 && cloud.length > 0) expect(fault?.message).to.include(`Update the ${older}.`);
      }),
      { seed: testSeed },
    );
  });

  it('advises whoever is newer than its server, and nobody else', () => {
    const hub = { role: 'hub', versions: [2, 3] };
    expect(olderServer(hub, { role: 'cloud', versions: [1, 2] })).to.match(/the cloud is older than this hub/);
    for (const versions of [[3], [2, 3, 4]]) expect(olderServer(hub, { role: 'cloud', versions })).to.equal(undefined);
  });

  it('refuses lists that nobody needs', () => {
    const many = Array.from({ length: MOST_VERSIONS + 1 }, (_, n) => n);
    const own = { role: 'hub', versions: [1] };
    expect(faultOf(() => agreeOnVersion(own, { role: 'cloud', versions: many }))).to.include({ code: 'link.protocol' });
    const bits = Array.from({ length: MOST_CAPABILITIES + 1 }, (_, n) => n);
    expect(faultOf(() => agreeOnCapabilities([1], bits))).to.include({ code: 'link.protocol' });
    expect(agreeOnCapabilities([1, 64], bits.slice(1))).to.deep.equal([1, 64]);
  });
});
