// Readings on their way from a hub's log into the cloud's store: live and backlog, credit, acknowledgements, what happens
// when a session is superseded or a write fails. Judged by comparing what was reported durable with what can be queried.
import { expect } from 'chai';
import { Envelope, Hello, Lane, LinkDown, LinkUp, Outcome } from '../../../../gen/occmesh/link/v1/link.js';
import { Batch, Signed, State } from '../../../../gen/occmesh/telemetry/v1/telemetry.js';
import { CloseCode } from '../../../../gen/occmesh/trunk/v1/trunk.js';
import { tableKey } from '../../../../src/cloud/tables.js';
import { verifySigned } from '../../../../src/identity/signed.js';
import { TAGS } from '../../../../src/identity/tags.js';
import { seconds } from '../../../../src/kernel/duration.js';
import type { Logger } from '../../../../src/kernel/log.js';
import { bareEnvelope, encodeUp } from '../../../../src/link/envelope.js';
import { Implied } from '../../../../src/link/implied.js';
import { ending } from '../../../../src/link/pipe.js';
import { rangeOf } from '../../../../src/storage/keys.js';
import { MemoryStore } from '../../../../src/storage/memory.js';
import { FakeClock, settle } from '../../../support/fake-clock.js';
import { expectExactlyOnce, judge } from '../../../support/judge-delivery.js';
import { MemoryCarrier } from '../../../support/memory-pipe.js';
import { seededRandom, testSeed } from '../../../support/seeded-random.js';
import { keyOf, SmallCloud } from '../../../support/small-cloud.js';
import { SmallHub } from '../../../support/small-hub.js';
import { until } from '../../../support/until.js';
import { type Cast, cast } from '../../link/fixtures.js';

const range = (from: number, count: number): number[] => Array.from({ length: count }, (_, i) => from + i);

interface SeenBatch {
  readonly lane: Lane;
  readonly first: number;
  readonly count: number;
  readonly bytes: number;
}

/** The batches that have passed a carrier, in the order of sending. */
function batchesOf(carrier: MemoryCarrier): SeenBatch[] {
  return carrier.of('up').flatMap((bytes) => {
    const { lane, payload } = Envelope.decode(bytes);
    const { message } = LinkUp.decode(payload);
    if (message?.$case !== 'batch') return [];
    const { firstFlush, flushCount } = Batch.decode(message.value.content);
    return [{ lane, first: firstFlush, count: flushCount, bytes: bytes.length }];
  });
}

const downOf = (carrier: MemoryCarrier) =>
  carrier.of('down').flatMap((bytes) => LinkDown.decode(Envelope.decode(bytes).payload).message ?? []);

describe(`delivery (seed ${testSeed})`, () => {
  let who: Cast;
  let clock: FakeClock;
  before(async () => {
    who = await cast();
  });
  beforeEach(() => {
    clock = new FakeClock();
  });
  const random = seededRandom(testSeed);

  const newCloud = (store = new MemoryStore()) =>
    new SmallCloud({ node: who.cloud, trust: who.trust, clock, random, store });
  let stalls = 0;
  const newHub = (wal = {}, batchReadings = 1_000) => {
    stalls = 0;
    const onStall = () => {
      stalls += 1;
    };
    return SmallHub.start({ identity: who.hub, trust: who.trust, clock, seed: testSeed, wal, batchReadings, onStall });
  };

  it('is live as readings become durable, without any credit', async () => {
    const cloud = newCloud();
    await using hub = await newHub();
    const { carrier } = await hub.up(cloud);
    await hub.write(range(1, 20), 3);
    await hub.delivered();
    expect(new Set(batchesOf(carrier).map(({ lane }) => lane))).to.deep.equal(new Set([Lane.LIVE]));
    expect(downOf(carrier).some(({ $case }) => $case === 'credit')).to.equal(false);
    await expectExactlyOnce(cloud, who.hub, hub.history);
    expect(stalls, 'never a stall').to.equal(0);
    carrier.cut();
  });

  it('is backfill for what waited, newest first, only as far as credit goes, with live in between', async () => {
    const cloud = newCloud();
    await using hub = await newHub();
    await hub.write(range(1, 300), 20);
    const { carrier } = await hub.up(cloud);
    await hub.write([1_000]);
    await hub.delivered();
    await expectExactlyOnce(cloud, who.hub, hub.history);
    const batches = batchesOf(carrier);
    const backfill = batches.filter(({ lane }) => lane === Lane.BACKFILL);
    expect(backfill.map(({ first, count }) => first + count)).to.satisfy((ends: number[]) =>
      ends.every((end, i) => i === 0 || end <= (ends[i - 1] ?? 0)),
    );
    expect(backfill[0]).to.include({ first: 300 - (backfill[0]?.count ?? 0) });
    expect(batches.filter(({ lane }) => lane === Lane.LIVE).map(({ first }) => first)).to.deep.equal([300]);
    for (const { bytes } of batches) expect(bytes).to.be.at.most(64 * 1024);
    const granted = downOf(carrier).reduce((sum, m) => sum + (m.$case === 'credit' ? m.value.backfillBytes : 0), 0);
    const sent = backfill.reduce((sum, { bytes }) => sum + bytes, 0);
    expect(granted).to.be.greaterThan(0);
    expect(sent).to.be.at.most(granted + 64 * 1024);
    carrier.cut();
  });

  it('takes its turns in the cloud in the lane in which it came', async () => {
    const cloud = newCloud();
    const { turns } = cloud.services.ingest;
    const taken: Lane[] = [];
    const take = turns.take.bind(turns);
    turns.take = (whose, lane, cost) => {
      taken.push(lane);
      return take(whose, lane, cost);
    };
    await using hub = await newHub();
    await hub.write(range(0, 300), 20);
    const { carrier, session } = await hub.up(cloud);
    await hub.write([1_000]);
    await hub.delivered();
    expect(new Set(taken)).to.deep.equal(new Set([Lane.LIVE, Lane.BACKFILL]));
    expect(taken).to.deep.equal(batchesOf(carrier).map(({ lane }) => lane));
    session.close(ending(CloseCode.DONE, 'done'));
  });

  it('is over for the cloud as soon as nothing more waits: credit that is left is free for others at once', async () => {
    const cloud = newCloud();
    await using hub = await newHub();
    await hub.write(range(1, 1_000), 20);
    const { carrier } = await hub.up(cloud);
    // Nobody moves the clock: no sign of life is due.
    await until(() => hub.wal.queuedReadings === 0, 'delivery of everything');
    await settle();
    expect(cloud.services.credit.claimed).to.equal(0);
    expect(downOf(carrier).filter(({ $case }) => $case === 'credit').length, 'grants').to.be.at.least(1);
    await expectExactlyOnce(cloud, who.hub, hub.history);
    carrier.cut();
  });

  it('takes flushes from before the session for backlog, also in the log that is open', async () => {
    const cloud = newCloud();
    await using hub = await newHub();
    await hub.write(range(1, 5));
    const { carrier } = await hub.up(cloud);
    await hub.delivered();
    expect(batchesOf(carrier)).to.have.length(1);
    expect(batchesOf(carrier)[0]).to.include({ lane: Lane.BACKFILL, first: 0, count: 5 });
    await hub.write([6]);
    await hub.delivered();
    expect(batchesOf(carrier)[1]).to.include({ lane: Lane.LIVE, first: 5, count: 1 });
    carrier.cut();
  });

  it('keeps at most a window of LIVE unacknowledged, and what piles up becomes backlog', async () => {
    const cloud = newCloud(new MemoryStore({ beforeWrite: () => hold }));
    let release: () => void = () => undefined;
    let hold: Promise<void> = Promise.resolve();
    await using hub = await newHub();
    const { carrier } = await hub.up(cloud);
    await settle();
    hold = new Promise((resolve) => {
      release = resolve;
    });
    // Texts that do not compress away, about 5 kB in each flush: twice the window, and more readings than can stay live.
    for (const id of range(1, 150)) {
      const readings = Array.from({ length: 60 }, (_, i) => ({
        ...{ sensor: i + 1, takenAt: clock.now(), state: State.OK, message: random.bytes(90).toString('base64') },
        values: [{ name: 'id', unit: '', value: id * 1_000 + i }],
      }));
      await hub.wal.append(readings);
    }
    await until(() => stalls > 0, 'a full window');
    await settle();
    const bytes = batchesOf(carrier).reduce((sum, batch) => sum + batch.bytes, 0);
    expect(bytes).to.be.within(256 * 1024, 256 * 1024 + 64 * 1024);
    expect(stalls, 'one stall, however long it lasts').to.equal(1);
    hold = Promise.resolve();
    release();
    await clock.advance(seconds(10));
    await hub.delivered();
    expect(batchesOf(carrier).some(({ lane }) => lane === Lane.BACKFILL)).to.equal(true);
    await expectExactlyOnce(cloud, who.hub, hub.history);
    carrier.cut();
  });

  it('acknowledges with one signature what one group commit has stored, and that frees the log', async () => {
    let release: () => void = () => undefined;
    let hold: Promise<void> = Promise.resolve();
    const cloud = newCloud(new MemoryStore({ beforeWrite: () => hold }));
    await using hub = await newHub({}, 1);
    const { carrier } = await hub.up(cloud);
    await settle();
    hold = new Promise((resolve) => {
      release = resolve;
    });
    await hub.write(range(1, 40));
    await until(() => batchesOf(carrier).reduce((n, { count }) => n + count, 0) === 40, 'all flushes on their way');
    expect(batchesOf(carrier).length).to.be.greaterThan(10);
    expect(hub.wal.queuedReadings).to.equal(40);
    hold = Promise.resolve();
    release();
    await hub.delivered();
    const acks = downOf(carrier).filter(({ $case }) => $case === 'ack');
    // The first batch was under way alone, the others waited for it together.
    expect(acks.length).to.be.at.most(3);
    await expectExactlyOnce(cloud, who.hub, hub.history);
    carrier.cut();
  });

  it('acknowledges nothing before it is durable', async () => {
    let release: () => void = () => undefined;
    let hold: Promise<void> = Promise.resolve();
    const cloud = newCloud(new MemoryStore({ beforeWrite: () => hold }));
    await using hub = await newHub();
    const { carrier } = await hub.up(cloud);
    await settle();
    hold = new Promise((resolve) => {
      release = resolve;
    });
    await hub.write([1]);
    await until(() => batchesOf(carrier).length === 1, 'the batch');
    // The same once more, while the first is on its way to the disk.
    const again = carrier.of('up').at(-1) ?? new Uint8Array(0);
    carrier.inject('up', again);
    await settle();
    expect(downOf(carrier).filter(({ $case }) => $case === 'ack' || $case === 'conflict')).to.have.length(0);
    release();
    await hub.delivered();
    expect(downOf(carrier).filter(({ $case }) => $case === 'conflict')).to.have.length(0);
    await expectExactlyOnce(cloud, who.hub, hub.history);
    carrier.cut();
  });

  it('survives a carrier that repeats and reorders content, and takes nothing twice', async () => {
    const cloud = newCloud();
    await using hub = await newHub();
    await hub.write(range(1, 200), 20);
    const held: Uint8Array[] = [];
    const carrier = new MemoryCarrier(({ direction, bytes }) => {
      if (direction === 'down' || Envelope.decode(bytes).lane === Lane.CONTROL) return [bytes];
      held.push(bytes);
      const dice = random.uniform();
      if (dice < 0.3) return [bytes, bytes];
      if (dice < 0.6) return [...held].reverse().slice(0, 3);
      return [bytes];
    });
    await hub.up(cloud, carrier);
    await hub.write(range(1_000, 50));
    await hub.delivered();
    await expectExactlyOnce(cloud, who.hub, hub.history);
    expect(downOf(carrier).filter(({ $case }) => $case === 'conflict')).to.have.length(0);
    carrier.cut();
  });

  it('starts again where it was when a carrier drops content: the next session has all of it', async () => {
    const cloud = newCloud();
    await using hub = await newHub();
    await hub.write(range(1, 100), 20);
    for (let round = 0; round < 5; round++) {
      const carrier = new MemoryCarrier(({ direction, bytes }) =>
        direction === 'up' && Envelope.decode(bytes).lane !== Lane.CONTROL && random.uniform() < 0.5 ? [] : [bytes],
      );
      await hub.up(cloud, carrier);
      await hub.write(range(1_000 + round * 10, 10));
      await settle();
      carrier.cut();
    }
    await hub.deliver(cloud);
    await expectExactlyOnce(cloud, who.hub, hub.history);
  });

  it('ends a session that sends LIVE beyond two windows or BACKFILL that was never granted', async () => {
    for (const [lane, copies] of [
      [Lane.LIVE, 30],
      [Lane.BACKFILL, 30],
    ] as const) {
      let hold: Promise<void> = Promise.resolve();
      const cloud = newCloud(new MemoryStore({ beforeWrite: () => hold }));
      await using hub = await newHub();
      const { carrier } = await hub.up(cloud);
      await settle();
      hold = new Promise(() => undefined);
      await hub.write([1], 1_000);
      await until(() => batchesOf(carrier).length === 1, 'a batch');
      const { payload } = Envelope.decode(carrier.of('up').at(-1) ?? new Uint8Array(0));
      const envelope = bareEnvelope(lane, payload);
      const allowed = Math.floor(((lane === Lane.LIVE ? 512 : 256) * 1_024) / envelope.length);
      for (let i = 0; i < allowed - 1; i++) carrier.inject('up', envelope);
      await settle();
      expect(carrier.endings.hub, `${allowed} batches`).to.equal(undefined);
      for (let i = 0; i < Math.max(copies, allowed); i++) carrier.inject('up', envelope);
      await settle();
      expect(carrier.endings.hub?.code).to.equal(CloseCode.EXHAUSTED);
    }
  });

  it('refuses a batch outside LIVE and BACKFILL, of another machine, or with a changed byte', async () => {
    const cloud = newCloud();
    await using hub = await newHub();
    const first = await hub.up(cloud);
    await hub.write(range(1, 3));
    await hub.delivered();
    const genuine = first.carrier.of('up').at(-1) ?? new Uint8Array(0);
    first.carrier.cut();
    const { payload } = Envelope.decode(genuine);
    const told = cloud.told.length;
    const wrongLane = await hub.up(cloud);
    wrongLane.carrier.inject('up', bareEnvelope(Lane.CONTROL, payload));
    await settle();
    expect(wrongLane.carrier.endings.hub?.code).to.equal(CloseCode.PROTOCOL);
    for (let at = 4; at < payload.length; at += 1 + Math.floor(random.uniform() * 20)) {
      const changed = Uint8Array.from(payload);
      changed[at] = (changed[at] ?? 0) ^ (1 << Math.floor(random.uniform() * 8));
      const { carrier } = await hub.up(cloud);
      carrier.inject('up', bareEnvelope(Lane.LIVE, changed));
      await settle();
      expect(carrier.endings.hub?.code, `byte ${at}`).to.be.oneOf([CloseCode.UNAUTHENTIC, CloseCode.PROTOCOL]);
    }
    expect(cloud.told).to.have.length(told);
    await using stranger = await SmallHub.start({ identity: who.otherHub, trust: who.trust, clock, seed: 1 });
    // With a log of its own, so that the batch, which lacks its log, has one.
    await stranger.write([9]);
    const { carrier } = await stranger.up(cloud);
    carrier.inject('up', bareEnvelope(Lane.LIVE, payload));
    await settle();
    expect(carrier.endings.hub?.code).to.equal(CloseCode.UNAUTHENTIC);
    await expectExactlyOnce(cloud, who.hub, hub.history);
    expect(await cloud.readings(keyOf(who.otherHub))).to.have.length(0);
  });

  it('names on the way neither the key nor the log of this session, and stores what verifies on its own', async () => {
    const cloud = newCloud();
    await using hub = await newHub();
    const { carrier } = await hub.up(cloud);
    // The log begins only now: the cloud is told of it before the first batch.
    await hub.write([1]);
    await hub.delivered();
    const sent = carrier.of('up').flatMap((bytes) => LinkUp.decode(Envelope.decode(bytes).payload).message ?? []);
    const batches = sent.flatMap((message) => (message.$case === 'batch' ? [message.value] : []));
    expect(batches).to.have.length(1);
    expect(batches.map(({ keyId, content }) => [keyId.length, Batch.decode(content).log.length])).to.deep.equal([
      [0, 0],
    ]);
    const { customer, machine } = keyOf(who.hub);
    const stored: Signed[] = [];
    for await (const { value } of cloud.store.entries(rangeOf(tableKey(customer, 'batch', machine)))) {
      stored.push(Signed.decode(value));
    }
    expect(stored.map((signed) => verifySigned(who.hub.key.publicKey, TAGS.BATCH, signed))).to.deep.equal([true]);
    expect(stored.map(({ content }) => Buffer.from(Batch.decode(content).log))).to.deep.equal([hub.wal.openLog?.log]);
    carrier.cut();
  });

  it('takes nothing from a recorded session that is played again as a whole', async () => {
    const cloud = newCloud();
    await using hub = await newHub();
    await hub.write(range(1, 30));
    const recorded = await hub.up(cloud);
    await hub.write(range(100, 10));
    await hub.delivered();
    recorded.session.send({ $case: 'result', value: { commandId: 1, outcome: 1, message: '', state: 1 } });
    await settle();
    recorded.session.close(ending(CloseCode.DONE, 'done'));
    await settle();
    const told = cloud.told.length;
    const writes = cloud.store.writes;
    const carrier = new MemoryCarrier();
    cloud.serve(carrier.cloud, who.hub.certificate);
    for (const bytes of recorded.carrier.of('up')) carrier.inject('up', bytes);
    await settle();
    expect(carrier.endings.hub?.code).to.equal(CloseCode.UNAUTHENTIC);
    expect(cloud.told).to.have.length(told);
    expect(cloud.store.writes).to.equal(writes);
    await expectExactlyOnce(cloud, who.hub, hub.history);
    // The hub's standing has not suffered.
    await hub.deliver(cloud);
    expect(cloud.inventory.quarantined.size).to.equal(0);
  });

  it('neither confirms a generation nor stays alive by content that a carrier replays', async () => {
    const cloud = newCloud();
    await using hub = await newHub();
    const first = await hub.up(cloud);
    await hub.write([1]);
    await hub.delivered();
    const old = first.carrier.of('up').find((bytes) => Envelope.decode(bytes).lane === Lane.LIVE) ?? new Uint8Array(0);
    first.session.close(ending(CloseCode.DONE, 'done'));
    await settle();
    // The carrier swallows the Welcome and plays an old batch in its place.
    const carrier = new MemoryCarrier(({ direction, number, bytes }) =>
      direction === 'down' && number === 1 ? [] : [bytes],
    );
    const cheated = hub.connect(cloud, carrier);
    await until(() => cheated.cloudSession.state === 'up', 'the side of the cloud');
    carrier.inject('up', old);
    await settle();
    await clock.advance(seconds(1));
    const silentSince = clock.monotonic();
    carrier.inject('up', old);
    await settle();
    cheated.host.endIfSilentSince(silentSince);
    expect(cheated.cloudSession.state).to.equal('ended');
    await hub.deliver(cloud);
    expect(cloud.inventory.quarantined.size, 'a hub that did nothing wrong').to.equal(0);
  });

  it('stores and acknowledges nothing of a session that was superseded in the middle', async () => {
    let release: () => void = () => undefined;
    let hold: Promise<void> = Promise.resolve();
    const cloud = newCloud(new MemoryStore({ beforeWrite: () => hold }));
    await using hub = await newHub({}, 1);
    const older = await hub.up(cloud);
    await settle();
    hold = new Promise((resolve) => {
      release = resolve;
    });
    await hub.write(range(1, 30));
    await until(() => batchesOf(older.carrier).length > 5, 'batches of the older session');
    const newer = hub.connect(cloud);
    await until(() => older.carrier.endings.hub !== undefined, 'the end of the older session');
    expect(older.carrier.endings.hub?.code).to.equal(CloseCode.SUPERSEDED);
    const acksOfOlder = downOf(older.carrier).length;
    hold = Promise.resolve();
    release();
    expect(await newer.session.opened).to.equal(undefined);
    await clock.advance(seconds(10));
    await hub.delivered();
    expect(downOf(older.carrier)).to.have.length(acksOfOlder);
    await expectExactlyOnce(cloud, who.hub, hub.history);
    expect(downOf(newer.carrier).filter(({ $case }) => $case === 'conflict')).to.have.length(0);
    newer.carrier.cut();
  });

  it('asks the registry inside the commit: without its answer the older session would store (negative control)', async () => {
    const cloud = newCloud();
    await using hub = await newHub();
    const older = await hub.up(cloud);
    const newer = await hub.up(cloud);
    newer.carrier.hook = ({ direction, bytes }) => (direction === 'up' ? [] : [bytes]);
    await hub.write([1]);
    await until(() => batchesOf(newer.carrier).length === 1, 'a batch, which the carrier keeps');
    const { message } = LinkUp.decode(Envelope.decode(newer.carrier.of('up').at(-1) ?? new Uint8Array(0)).payload);
    if (message?.$case !== 'batch' || !hub.wal.openLog) throw new Error('no batch');
    const implied = new Implied(who.hub.key.publicKey);
    implied.heartbeat(hub.wal.openLog);
    const batch = implied.putBack(message.value);
    const refusal = await cloud.services.ingest.batch(older.host, batch).catch((thrown: unknown) => thrown);
    expect(refusal).to.have.property('code', 'link.superseded');
    older.host.isCurrent = () => true;
    expect((await cloud.services.ingest.batch(older.host, batch)).kind).to.equal('stored');
    newer.carrier.cut();
  });

  it('goes on after a failed write: sessions end, nothing is lost, nothing is doubled', async () => {
    for (let failAt = 0; failAt < 12; failAt++) {
      const cloud = newCloud();
      await using hub = await newHub();
      await hub.write(range(1, 60), 30);
      let writes = 0;
      const carrier = new MemoryCarrier(({ direction, bytes }) => {
        if (direction === 'up' && Envelope.decode(bytes).lane !== Lane.CONTROL && writes++ === failAt) {
          cloud.store.failNextWrite();
        }
        return [bytes];
      });
      const { session } = await hub.up(cloud, carrier);
      await hub.write(range(1_000, 10));
      await until(() => session.state === 'ended' || hub.wal.queuedReadings === 0, 'an end').catch(() => carrier.cut());
      for (let i = 0; i < 3 && hub.wal.queuedReadings > 0; i++) {
        await hub.deliver(cloud).catch(() => undefined);
      }
      await expectExactlyOnce(cloud, who.hub, hub.history);
      // And so says a cloud that reads it all again.
      const again = await cloud.restarted();
      await expectExactlyOnce(again, who.hub, hub.history);
    }
  });

  it('acknowledges nothing that a failed write took away', async () => {
    const cloud = newCloud();
    await using hub = await newHub();
    const { carrier } = await hub.up(cloud);
    await settle();
    cloud.store.failNextWrite();
    await hub.write([1]);
    await until(() => carrier.endings.hub !== undefined, 'the end of the session');
    expect(carrier.endings.hub?.code).to.equal(CloseCode.INTERNAL);
    expect(downOf(carrier).filter(({ $case }) => $case === 'ack')).to.have.length(0);
    expect((await judge(cloud, who.hub, hub.history)).lost).to.deep.equal([1_000]);
    await hub.deliver(cloud);
    await expectExactlyOnce(cloud, who.hub, hub.history);
  });

  it('says of what it dropped that it is gone, also in the middle of a session', async () => {
    const cloud = newCloud();
    await using hub = await newHub({ maxBytes: 3_000 });
    await hub.write(range(1, 40), 100);
    expect(hub.wal.gaps().length).to.be.greaterThan(0);
    const stuck = await hub.up(
      cloud,
      new MemoryCarrier(({ direction, bytes }) =>
        direction === 'up' && Envelope.decode(bytes).lane !== Lane.CONTROL ? [] : [bytes],
      ),
    );
    await until(() => hub.wal.gaps().length === 0, 'acknowledgement of the first gap');
    await hub.write(range(1_000, 40), 100);
    expect(hub.wal.droppedReadings).to.be.greaterThan(1_000);
    await until(() => hub.wal.gaps().length === 0, 'acknowledgement of the later gaps');
    stuck.carrier.cut();
    await hub.deliver(cloud);
    const verdict = await judge(cloud, who.hub, hub.history);
    expect(verdict).to.deep.include({ lost: [], doubled: [], invented: [] });
    expect(verdict.inGaps).to.have.length(hub.wal.droppedReadings);
  });

  it('does not let a replayed, older gap take the place of a newer, longer one', async () => {
    const cloud = newCloud();
    await using hub = await newHub({ maxBytes: 3_000 });
    await hub.write(range(1, 40), 100);
    const first = await hub.up(cloud);
    await until(() => hub.wal.gaps().length === 0, 'the gap');
    const gapOf = ({ carrier }: { carrier: MemoryCarrier }) =>
      carrier.of('up').find((b) => LinkUp.decode(Envelope.decode(b).payload).message?.$case === 'gap');
    const shorter = gapOf(first) ?? new Uint8Array(0);
    first.carrier.cut();
    await settle();
    const lost = async () => {
      let sum = 0;
      for (const log of (await cloud.logs(keyOf(who.hub))).values()) sum += log.lost.size;
      return sum;
    };
    const before = await lost();
    expect(before).to.be.greaterThan(0);
    const { carrier } = await hub.up(cloud);
    carrier.inject('up', shorter);
    await settle();
    expect(await lost()).to.equal(before);
    carrier.cut();
  });

  it('sends desired state, but neither that nor commands to a hub in quarantine', async () => {
    const cloud = newCloud();
    const { machineId } = who.hub.certificate.identity;
    const state = (version: number) => ({
      machineId: keyOf(who.hub).machine,
      version,
      sensors: [],
      directAllowed: false,
      fallbackAfterMs: 0,
      connectors: [],
      lingerMs: 0,
      displayName: '',
      sealingKey: Buffer.alloc(0),
      rotateSealingKey: false,
    });
    cloud.inventory.states.set(machineId, state(3));
    await using hub = await newHub();
    const { host, carrier } = await hub.up(cloud);
    await until(() => cloud.inventory.applied.length === 1, 'Applied');
    expect(hub.applied).to.deep.equal([3]);
    const run = host.runSensor(7);
    expect((await run).outcome).to.equal(Outcome.DONE);
    expect(hub.ran).to.deep.equal([7]);
    // Of many in a row only the first and the last travel: the second waits until the first is in effect.
    for (const version of [4, 5, 6, 7]) {
      cloud.inventory.states.set(machineId, state(version));
      host.sendDesiredState(-1);
    }
    await until(() => cloud.inventory.applied.length === 3, 'Applied');
    expect(hub.applied).to.deep.equal([3, 4, 7]);
    carrier.cut();
    await settle();
    await cloud.inventory.setQuarantined(machineId, 'a test says so');
    cloud.inventory.states.set(machineId, state(8));
    const quarantined = await hub.up(cloud);
    quarantined.host.sendDesiredState(-1);
    await settle();
    expect(hub.applied).to.deep.equal([3, 4, 7]);
    const refusal = await quarantined.host.runSensor(7).catch((thrown: unknown) => thrown);
    expect(refusal).to.have.property('code', 'link.refused');
    await hub.write([1]);
    await hub.delivered();
    quarantined.carrier.cut();
    await expectExactlyOnce(cloud, who.hub, hub.history);
  });

  it('says in the log of the hub that its clock is wrong, and by how much', async () => {
    const cloud = newCloud();
    const warnings: unknown[] = [];
    const warn = (fields: object, text: string) => warnings.push([fields, text]);
    const log = { info: () => undefined, warn, error: warn } as unknown as Logger;
    const seed = testSeed;
    for (const wrongBy of [-3_600_000, -59_000, 0, 59_000, 150_400]) {
      const its = new FakeClock(clock.now() + wrongBy);
      await using hub = await SmallHub.start({ identity: who.hub, trust: who.trust, clock: its, seed, log });
      const { carrier } = await hub.up(cloud);
      carrier.cut();
    }
    expect(warnings.map((one) => (one as [object, string])[0])).to.deep.equal([
      { aheadSeconds: -3_600 },
      { aheadSeconds: 150 },
    ]);
    expect(JSON.stringify(warnings)).to.contain('the clock of this machine is wrong');
  });

  it('tells of a command whose session has ended that nobody knows', async () => {
    const cloud = newCloud();
    await using hub = await newHub();
    const { host, carrier } = await hub.up(
      cloud,
      new MemoryCarrier(({ direction, bytes }) =>
        direction === 'up' && LinkUp.decode(Envelope.decode(bytes).payload).message?.$case === 'result' ? [] : [bytes],
      ),
    );
    const outcome = host.runSensor(1);
    await until(() => hub.ran.length === 1, 'the command');
    carrier.cut();
    expect((await outcome).outcome).to.equal(Outcome.UNKNOWN);
    const late = hub.connect(cloud);
    expect((await late.host.runSensor(1)).outcome).to.equal(Outcome.FAILED);
    late.carrier.cut();
    await settle();
    expect(hub.ran).to.deep.equal([1]);
  });

  it('is not held up by a Result that nobody asked for, and refuses messages that are not for the cloud', async () => {
    const cloud = newCloud();
    await using hub = await newHub();
    const { session, carrier } = await hub.up(cloud);
    session.send({ $case: 'result', value: { commandId: 99, outcome: 1, message: '', state: 1 } });
    await hub.write([1]);
    await hub.delivered();
    expect(session.state).to.equal('up');
    carrier.inject('up', bareEnvelope(Lane.CONTROL, encodeUp({ $case: 'hello', value: Hello.fromPartial({}) })));
    await settle();
    expect(carrier.endings.hub?.code).to.equal(CloseCode.PROTOCOL);
  });
});
