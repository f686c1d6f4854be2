// When hub and cloud do not remember the same: a cloud restored from a backup, a hub rolled back, two machines that write
// the same log, a clone. Afterwards every reading that was reported durable is there exactly once, or in a gap.
import { expect } from 'chai';
import { MachineState } from '../../../../gen/occmesh/inventory/v1/inventory.js';
import { Envelope, Lane, LinkDown, LinkUp } from '../../../../gen/occmesh/link/v1/link.js';
import { Batch, GapReason, Witness } from '../../../../gen/occmesh/telemetry/v1/telemetry.js';
import { CloseCode } from '../../../../gen/occmesh/trunk/v1/trunk.js';
import { readSessionRecord } from '../../../../src/cloud/sessions/session-record.js';
import { signContent } from '../../../../src/identity/signed.js';
import { TAGS } from '../../../../src/identity/tags.js';
import { seconds } from '../../../../src/kernel/duration.js';
import { ending } from '../../../../src/link/pipe.js';
import { MemoryStore } from '../../../../src/storage/memory.js';
import { packBatch } from '../../../../src/telemetry/batch.js';
import { FakeClock, settle } from '../../../support/fake-clock.js';
import { expectExactlyOnce, judge } from '../../../support/judge-delivery.js';
import { MemoryCarrier } from '../../../support/memory-pipe.js';
import { seededRandom, testSeed } from '../../../support/seeded-random.js';
import { keyOf, SmallCloud } from '../../../support/small-cloud.js';
import { type History, SmallHub } from '../../../support/small-hub.js';
import { until } from '../../../support/until.js';
import { type Cast, cast } from '../../link/fixtures.js';

const range = (from: number, count: number): number[] => Array.from({ length: count }, (_, i) => from + i);
const DONE = ending(CloseCode.DONE, 'done');

const downOf = (carrier: MemoryCarrier) =>
  carrier.of('down').flatMap((bytes) => LinkDown.decode(Envelope.decode(bytes).payload).message ?? []);

const upOf = (carrier: MemoryCarrier) =>
  carrier.of('up').flatMap((bytes) => LinkUp.decode(Envelope.decode(bytes).payload).message ?? []);

describe(`recovery (seed ${testSeed})`, () => {
  let who: Cast;
  let clock: FakeClock;
  let history: History;
  before(async () => {
    who = await cast();
  });
  beforeEach(() => {
    clock = new FakeClock();
    history = [];
  });
  const random = seededRandom(testSeed);

  /** What hubs and cloud agree on is the same while the cloud merges what it holds. */
  const newCloud = (store = new MemoryStore()) =>
    new SmallCloud({ node: who.cloud, trust: who.trust, clock, random, store, mergeSteps: [4, 16, 64] });
  const newHub = (change: Partial<Parameters<typeof SmallHub.start>[0]> = {}) =>
    SmallHub.start({ identity: who.hub, trust: who.trust, clock, seed: testSeed, history, ...change });
  const quarantine = (cloud: SmallCloud) => cloud.inventory.quarantined.get(who.hub.certificate.identity.machineId);

  /** Two machines with the same past that do not know of each other, as after a snapshot was resumed beside the original. */
  const twins = async (cloud: SmallCloud, past: readonly number[], delivered: boolean, batchReadings = 1_000) => {
    const original = await newHub({ batchReadings });
    const twin = await newHub({ batchReadings, history: [] });
    for (const hub of [original, twin]) await hub.write(past);
    if (delivered) await original.deliver(cloud);
    expect(twin.wal.openLog?.log.equals(original.wal.openLog?.log ?? Buffer.alloc(0)), 'one log').to.equal(true);
    // From here on both write into the same record of what is durable.
    twin.wal.onDurable((flush) => history.push(flush));
    const dispose = async () => {
      for (const hub of [original, twin]) await hub[Symbol.asyncDispose]();
    };
    return { original, twin, [Symbol.asyncDispose]: dispose };
  };

  it('heals a cloud that was restored from an earlier copy', async () => {
    let cloud = newCloud();
    await using hub = await newHub();
    await hub.write(range(1, 20));
    await hub.deliver(cloud);
    const backup = cloud.store.restarted();
    for (let i = 0; i < 3; i++) {
      await hub.write(range(100 + i * 20, 20));
      await hub.deliver(cloud);
    }
    cloud = await cloud.restarted(backup);
    expect((await judge(cloud, who.hub, history)).lost).to.have.length(60);
    await hub.write([500]);
    await hub.deliver(cloud);
    await expectExactlyOnce(cloud, who.hub, history);
    expect(quarantine(cloud)).to.equal(undefined);
  });

  it('heals a cloud that was restored while the hub had restarted several times', async () => {
    let cloud = newCloud();
    let hub = await newHub();
    const backup = cloud.store.restarted();
    for (let i = 0; i < 4; i++) {
      await hub.write(range(100 + i * 20, 10));
      await hub.deliver(cloud);
      await hub.write(range(110 + i * 20, 5));
      clock.jumpWall(1_000);
      hub = await hub.restarted();
    }
    cloud = await cloud.restarted(backup);
    await hub.deliver(cloud);
    await expectExactlyOnce(cloud, who.hub, history);
    await hub[Symbol.asyncDispose]();
  });

  it('says NOT_RETAINED of what the cloud has lost and the hub no longer keeps', async () => {
    let cloud = newCloud();
    await using hub = await newHub({ wal: { heal: { maxBytes: 0, maxAge: seconds(1) } } });
    const backup = cloud.store.restarted();
    await hub.write(range(1, 10));
    await hub.deliver(cloud);
    await clock.advance(seconds(700));
    await until(() => hub.wal.logs()[0]?.first === 10, 'nothing is kept for healing');
    cloud = await cloud.restarted(backup);
    await hub.deliver(cloud);
    await expectExactlyOnce(
      cloud,
      who.hub,
      history,
      range(1, 10).map((id) => id * 1_000),
    );
    const [log] = (await cloud.logs(keyOf(who.hub))).values();
    expect(log?.gaps).to.have.length(1);
    expect(log?.gaps[0]).to.include({ first: 0, count: 10, reason: GapReason.NOT_RETAINED, witness: Witness.HUB });
  });

  it('takes a hub that was rolled back into quarantine, and loses and doubles nothing', async () => {
    const cloud = newCloud();
    await using hub = await newHub();
    await hub.write(range(1, 10));
    await hub.deliver(cloud);
    await hub.write(range(11, 5));
    const disk = await hub.copy();
    await hub.write(range(16, 5));
    await hub.deliver(cloud);
    await using older = await SmallHub.start({ ...hub.modules, history, seed: testSeed + 77 }, disk);
    await older.write(range(100, 5));
    const { carrier, session } = await older.up(cloud);
    await older.delivered();
    expect(quarantine(cloud)).to.be.a('string');
    await older.write(range(105, 5));
    await older.delivered();
    session.close(DONE);
    await expectExactlyOnce(cloud, who.hub, history);
    expect(downOf(carrier).some(({ $case }) => $case === 'conflict')).to.equal(false);
  });

  it('says TAIL_MISSING of what a rolled-back hub had announced, and data takes the place of the gap', async () => {
    let cloud = newCloud();
    await using hub = await newHub();
    await hub.write(range(1, 10));
    await hub.deliver(cloud);
    const disk = await hub.copy();
    // Announced by a heartbeat, but the carrier lets no content through.
    await hub.write(range(11, 10));
    const carrier = new MemoryCarrier(({ direction, bytes }) =>
      direction === 'up' && Envelope.decode(bytes).lane !== Lane.CONTROL ? [] : [bytes],
    );
    await hub.up(cloud, carrier);
    await until(async () => [...(await announced(cloud))].includes(20), 'the announcement, durably');
    carrier.cut();
    await settle();
    cloud = await cloud.restarted();
    await using older = await SmallHub.start({ ...hub.modules, history: [], seed: testSeed + 77 }, disk);
    await older.deliver(cloud);
    const gone = range(11, 10).map((id) => id * 1_000);
    await expectExactlyOnce(cloud, who.hub, history, gone);
    const gaps = [...(await cloud.logs(keyOf(who.hub))).values()].flatMap((log) => log.gaps);
    expect(gaps).to.have.length(1);
    expect(gaps[0]).to.include({ first: 10, count: 10, reason: GapReason.TAIL_MISSING, witness: Witness.CLOUD });
    // The disk that was believed dead comes back.
    await hub.deliver(cloud);
    await expectExactlyOnce(cloud, who.hub, history);
  });

  const announced = async (cloud: SmallCloud): Promise<number[]> => {
    return (await readSessionRecord(cloud.store, keyOf(who.hub))).announced.map(({ next }) => next);
  };

  it('misses holes below what it holds, though nothing beyond was ever announced', async () => {
    let cloud = newCloud();
    await using hub = await newHub();
    const disk = await hub.copy();
    await hub.write(range(1, 10));
    // Only what is live comes through: flush 10, but none of the backlog before it.
    const carrier = new MemoryCarrier(({ direction, bytes }) =>
      direction === 'up' && Envelope.decode(bytes).lane === Lane.BACKFILL ? [] : [bytes],
    );
    const { session } = await hub.up(cloud, carrier);
    await hub.write([11]);
    await until(() => cloud.told.length === 1, 'the live flush');
    session.close(DONE);
    cloud = await cloud.restarted();
    await using empty = await SmallHub.start({ ...hub.modules, history: [], seed: testSeed + 77 }, disk);
    await empty.deliver(cloud);
    await expectExactlyOnce(
      cloud,
      who.hub,
      history,
      range(1, 10).map((id) => id * 1_000),
    );
    await hub.deliver(cloud);
    await expectExactlyOnce(cloud, who.hub, history);
  });

  it('writes an announcement down that a session did not come to because it was superseded', async () => {
    let release: () => void = () => undefined;
    let hold: Promise<void> = Promise.resolve();
    let cloud = newCloud(new MemoryStore({ beforeWrite: () => hold }));
    await using hub = await newHub();
    await hub.write(range(1, 3));
    const noContent = () =>
      new MemoryCarrier(({ direction, bytes }) =>
        direction === 'up' && Envelope.decode(bytes).lane !== Lane.CONTROL ? [] : [bytes],
      );
    const older = hub.connect(cloud, noContent());
    await until(() => older.cloudSession.state === 'up', 'the older session');
    hold = new Promise((resolve) => {
      release = resolve;
    });
    await until(() => upOf(older.carrier).some(({ $case }) => $case === 'heartbeat'), 'the heartbeat');
    await settle();
    const newer = hub.connect(cloud, noContent());
    await until(() => older.cloudSession.state === 'ended', 'the end of the older session');
    hold = Promise.resolve();
    release();
    expect(await newer.session.opened).to.equal(undefined);
    await until(async () => (await announced(cloud)).includes(3), 'the announcement, durably');
    newer.carrier.cut();
    cloud = await cloud.restarted();
    expect(await announced(cloud)).to.deep.equal([3]);
  });

  it('finds where two machines parted that write the same log, and has what both have written', async () => {
    const cloud = newCloud();
    await using pair = await twins(cloud, range(1, 10), false);
    const { original, twin } = pair;
    await original.write(range(100, 5));
    await original.deliver(cloud);
    await original.write(range(105, 5));
    await twin.write(range(200, 10));
    await original.deliver(cloud);
    await until(async () => (await cloud.mergedRanges(keyOf(who.hub))) > 0, 'what the original wrote is merged');
    const { carrier } = await twin.up(cloud);
    await twin.delivered();
    expect(quarantine(cloud)).to.be.a('string');
    expect(upOf(carrier).some(({ $case }) => $case === 'digestRequest')).to.equal(true);
    await twin.write([300]);
    await twin.delivered();
    carrier.cut();
    await expectExactlyOnce(cloud, who.hub, history);
    await original.write([400]);
    await original.deliver(cloud);
    await expectExactlyOnce(cloud, who.hub, history);
  });

  it('does so, too, when the twin was restarted before it came, so that the log is closed', async () => {
    const cloud = newCloud();
    await using pair = await twins(cloud, range(1, 10), false);
    const { original, twin } = pair;
    await original.write(range(100, 10));
    await twin.write(range(200, 5));
    await original.deliver(cloud);
    clock.jumpWall(1_000);
    await using restarted = await twin.restarted({ history });
    await restarted.deliver(cloud);
    await expectExactlyOnce(cloud, who.hub, history);
  });

  it('does so for a log of which the cloud holds pieces only', async () => {
    for (let round = 0; round < 4; round++) {
      history = [];
      const cloud = newCloud();
      await using pair = await twins(cloud, range(1, 30), false);
      const { original, twin } = pair;
      await original.write(range(100, 1 + Math.floor(random.uniform() * 30)));
      await twin.write(range(300, 1 + Math.floor(random.uniform() * 30)));
      // Some batches of the original come through, then it is gone for a while.
      const carrier = new MemoryCarrier(({ direction, bytes }) =>
        direction === 'up' && Envelope.decode(bytes).lane !== Lane.CONTROL && random.uniform() < 0.5 ? [] : [bytes],
      );
      const { session } = await original.up(cloud, carrier);
      await original.write(range(500, 15));
      await settle();
      session.close(DONE);
      await settle();
      await twin.write(range(600, 10));
      await twin.deliver(cloud);
      await original.deliver(cloud);
      const verdict = await judge(cloud, who.hub, history);
      expect(verdict, `round ${round}`).to.deep.include({ lost: [], doubled: [], invented: [] });
      expect(verdict.inGaps).to.deep.equal([]);
    }
  });

  it('keeps the telemetry of two clones that run at the same time and throw each other out', async () => {
    const cloud = newCloud();
    await using pair = await twins(cloud, range(1, 5), true);
    const { original, twin } = pair;
    for (let round = 0; round < 6; round++) {
      for (const [at, hub] of [original, twin].entries()) {
        const { session } = await hub.up(cloud);
        await hub.write(range(1_000 * (at + 1) + round * 10, 3));
        if (round % 2 === 0) await settle();
        else await hub.delivered();
        if (round % 3 === 0) session.close(DONE);
      }
    }
    expect(quarantine(cloud)).to.be.a('string');
    for (const hub of [original, twin]) await hub.deliver(cloud);
    await expectExactlyOnce(cloud, who.hub, history);
  });

  it('resolves a conflict that comes up in the middle of a session, with batches on their way', async () => {
    const cloud = newCloud();
    await using pair = await twins(cloud, range(1, 5), true, 1);
    const { original, twin } = pair;
    // A twin of the same generation that is admitted first and writes, while the other one's carrier holds content back.
    await twin.write(range(200, 20));
    const held: Uint8Array[] = [];
    let holding = true;
    const carrier = new MemoryCarrier(({ direction, bytes }) => {
      if (!holding || direction === 'down' || Envelope.decode(bytes).lane === Lane.CONTROL) return [bytes];
      held.push(bytes);
      return [];
    });
    const connected = await original.up(cloud, carrier);
    for (const id of range(100, 10)) await original.write([id]);
    await until(() => held.length > 5, 'batches that the carrier holds');
    // As if the twin had stored these numbers just now.
    const { ingest } = cloud.services;
    const theirs = await twin.wal.read(twin.wal.openLog?.log ?? Buffer.alloc(0), 5, {
      maxReadings: 1e6,
      maxBytes: 1e6,
      until: 8,
    });
    const head = {
      log: twin.wal.openLog?.log ?? Buffer.alloc(0),
      firstFlush: 5,
      chain: theirs.at(-1)?.chain ?? Buffer.alloc(0),
    };
    const content = packBatch(head, theirs);
    await ingest.batch(connected.host, signContent(who.hub.key, TAGS.BATCH, content));
    holding = false;
    for (const bytes of held) carrier.inject('up', bytes);
    await original.delivered();
    expect(downOf(carrier).some(({ $case }) => $case === 'conflict')).to.equal(true);
    await original.write([999]);
    await original.delivered();
    carrier.cut();
    await settle();
    await twin.deliver(cloud);
    await expectExactlyOnce(cloud, who.hub, history);
  });

  it('never issues one generation to two, however close together they come', async () => {
    let release: () => void = () => undefined;
    const cloud = newCloud();
    await using pair = await twins(cloud, [1], true);
    const { original, twin } = pair;
    cloud.inventory.admitting = new Promise((resolve) => {
      release = resolve;
    });
    const both = [original.connect(cloud), twin.connect(cloud)];
    await settle();
    release();
    await Promise.all(both.map(({ session }) => session.opened));
    const welcomes = both.flatMap(({ carrier }) =>
      downOf(carrier).flatMap((m) => (m.$case === 'welcome' ? [m.value.generation] : [])),
    );
    expect(new Set(welcomes).size).to.equal(welcomes.length);
    expect(welcomes.length).to.be.at.least(1);
    for (const { carrier } of both) carrier.cut();
  });

  it('does not let a session that ended during its admission take the place of one that lives', async () => {
    const cloud = newCloud();
    await using hub = await newHub();
    let release: () => void = () => undefined;
    cloud.inventory.admitting = new Promise((resolve) => {
      release = resolve;
    });
    const dead = hub.connect(cloud);
    await until(() => dead.cloudSession.state === 'admitting', 'the first admission');
    dead.carrier.cut();
    await settle();
    const hold = cloud.inventory.admitting;
    cloud.inventory.admitting = Promise.resolve();
    const { session, host } = await hub.up(cloud);
    release();
    await hold;
    await settle();
    expect(session.state).to.equal('up');
    expect(cloud.services.sessions.of(host.machineId)).to.equal(host);
    session.close(DONE);
    await settle();
    expect(cloud.services.sessions.all()).to.have.length(0);
  });

  it('does not keep a hub online whose session failed while it was admitted', async () => {
    const cloud = newCloud();
    await using hub = await newHub();
    const first = await hub.up(cloud);
    expect(cloud.presence.of(first.host.machineId).state).to.equal(MachineState.ONLINE);
    cloud.store.failNextWrite();
    const second = hub.connect(cloud);
    await second.session.opened;
    expect(second.session.state).to.equal('ended');
    await clock.advance(seconds(50));
    cloud.presence.sweep();
    expect(cloud.presence.of(first.host.machineId).state).to.equal(MachineState.LOST);
  });

  it('fills the oldest hole first when there are many', async () => {
    const cloud = newCloud();
    await using hub = await newHub({ batchReadings: 1 });
    const { carrier, session } = await hub.up(
      cloud,
      // Every second live flush is lost on the way.
      new MemoryCarrier(({ direction, bytes }) => {
        const message = LinkUp.decode(Envelope.decode(bytes).payload).message;
        return direction === 'up' && message?.$case === 'batch' && dropped++ % 2 === 0 ? [] : [bytes];
      }),
    );
    let dropped = 0;
    for (const id of range(1, 80)) {
      await hub.write([id]);
      const expected = id;
      await until(
        () => upOf(carrier).filter(({ $case }) => $case === 'batch').length === expected,
        'one batch for one flush',
      );
    }
    await until(() => cloud.told.length === 40, 'every second flush');
    session.close(DONE);
    await settle();
    const second = await hub.up(cloud);
    await hub.delivered();
    const firsts = upOf(second.carrier).flatMap((m) =>
      m.$case === 'batch' ? [Batch.decode(m.value.content).firstFlush] : [],
    );
    expect(firsts[0]).to.equal(0);
    expect(firsts.slice(0, 5)).to.deep.equal([...firsts.slice(0, 5)].sort((a, b) => a - b));
    await expectExactlyOnce(cloud, who.hub, history);
    second.carrier.cut();
  });
});
