// What a hub waits for before it is let in: its turn, and no longer than it would wait itself.
import { expect } from 'chai';
import { CloseCode } from '../../../../gen/occmesh/trunk/v1/trunk.js';
import { FakeClock, settle } from '../../../support/fake-clock.js';
import { MemoryCarrier } from '../../../support/memory-pipe.js';
import { seededRandom, testSeed } from '../../../support/seeded-random.js';
import { SmallCloud } from '../../../support/small-cloud.js';
import { SmallHub } from '../../../support/small-hub.js';
import { until } from '../../../support/until.js';
import { type Cast, cast } from '../../link/fixtures.js';

describe(`sessions: admission (seed ${testSeed})`, () => {
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
  const newHub = () => SmallHub.start({ identity: who.hub, trust: who.trust, clock, seed: testSeed });
  const full = (customerId: string) =>
    Promise.all(Array.from({ length: 256 }, () => cloud.services.reception.enter(customerId)));

  it('waits until there is a place, and gives its own back', async () => {
    const places = await full('another customer');
    await using hub = await newHub();
    const { session, cloudSession } = hub.connect(cloud);
    await until(() => cloudSession.state === 'admitting', 'the Hello');
    await settle();
    expect(session.state).to.equal('awaiting-welcome');
    places.pop()?.();
    expect(await session.opened, 'a failure').to.equal(undefined);
    // Its own has been given back, and is the last one.
    places.push(await cloud.services.reception.enter('another customer'));
    let isInside = false;
    const next = cloud.services.reception.enter('another customer').then((leave) => {
      isInside = true;
      return leave;
    });
    await settle();
    expect(isInside).to.equal(false);
    for (const leave of places) leave();
    (await next)();
  });

  it('gives its place back also when it is refused, and does nothing for a hub that has gone meanwhile', async () => {
    const places = await full('another customer');
    await using hub = await newHub();
    const { session, cloudSession } = hub.connect(cloud);
    await until(() => cloudSession.state === 'admitting', 'the Hello');
    session.close({ code: CloseCode.DONE, message: 'gone', retryAfterMs: 0 });
    await until(() => cloudSession.state === 'ended', 'its end');
    const asked: string[] = [];
    const { inventory } = cloud;
    const admit = inventory.admit.bind(inventory);
    inventory.admit = (certificate) => {
      asked.push(certificate.identity.machineId);
      return admit(certificate);
    };
    for (const leave of places) leave();
    await settle();
    expect(asked).to.deep.equal([]);
    for (const leave of await full('another customer')) leave();
    const again = await hub.up(cloud);
    expect(asked, 'the control').to.have.length(1);
    again.session.close({ code: CloseCode.DONE, message: 'done', retryAfterMs: 0 });
  });

  it('is told when to come back while very many of its customer wait', async () => {
    const { customerId } = who.hub.certificate.identity;
    const places = await full(customerId);
    const waiting = Array.from({ length: 250 }, () => cloud.services.reception.enter(customerId));
    await using hub = await newHub();
    const { carrier, session } = hub.connect(cloud);
    const why = await session.opened;
    expect(why?.code).to.equal(CloseCode.EXHAUSTED);
    expect(why?.retryAfterMs).to.be.within(1_000, 3_000);
    expect(carrier.of('up'), 'messages').to.have.length(1);
    // Nothing of a Hello is looked at for that, not even its signature.
    const broken = new MemoryCarrier(({ direction, bytes }) => {
      if (direction === 'up') bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
      return [bytes];
    });
    const forged = hub.connect(cloud, broken);
    expect((await forged.session.opened)?.code).to.equal(CloseCode.EXHAUSTED);
    for (const leave of places) leave();
    for (const place of waiting) (await place)();
  });
});
