// Hubs whose every message is valid and signed, and which send without end: what one of them can make the cloud remember
// and do is bounded. Each bound has a control without it.
import { expect } from 'chai';
import pino from 'pino';
import { Lane, LogSummary, Welcome } from '../../../../gen/occmesh/link/v1/link.js';
import { GetLedgerResponse } from '../../../../gen/occmesh/readings/v1/readings.js';
import { Gap, GapReason, State, Witness } from '../../../../gen/occmesh/telemetry/v1/telemetry.js';
import { CloseCode } from '../../../../gen/occmesh/trunk/v1/trunk.js';
import { ledgerOf } from '../../../../src/cloud/api/reading-service.js';
import { BUDGET, type BudgetLimits, MachineBudget } from '../../../../src/cloud/sessions/budget.js';
import { HubLedger } from '../../../../src/cloud/telemetry/ledger.js';
import { unfoldingCost } from '../../../../src/cloud/telemetry/unfolding.js';
import { DEFAULT_LIMITS } from '../../../../src/contract/limits.js';
import { signContent } from '../../../../src/identity/signed.js';
import { TAGS } from '../../../../src/identity/tags.js';
import { epochMs, milliseconds, minutes, seconds } from '../../../../src/kernel/duration.js';
import { silentLogger } from '../../../../src/kernel/log.js';
import { MAX_ENVELOPE_BYTES } from '../../../../src/link/envelope.js';
import { LinkFault } from '../../../../src/link/fault.js';
import { HubSession, type SelfDescription } from '../../../../src/link/hub-session.js';
import { type Ending, ending } from '../../../../src/link/pipe.js';
import { MOST_LOGS } from '../../../../src/link/version.js';
import { openBatchHeader, packBatch } from '../../../../src/telemetry/batch.js';
import { FakeClock, settle } from '../../../support/fake-clock.js';
import { MemoryCarrier } from '../../../support/memory-pipe.js';
import { seededRandom, testSeed } from '../../../support/seeded-random.js';
import { keyOf, SmallCloud } from '../../../support/small-cloud.js';
import { until } from '../../../support/until.js';
import { type Cast, cast, RecordingMember } from '../../link/fixtures.js';

const NEVER = { burst: Number.POSITIVE_INFINITY, perSecond: 1 };
const UNBOUNDED: BudgetLimits = {
  rates: {
    trunks: NEVER,
    channels: NEVER,
    refusals: NEVER,
    links: NEVER,
    sessions: NEVER,
    logs: NEVER,
    frames: NEVER,
    gaps: NEVER,
    bytes: NEVER,
    unfolding: NEVER,
    digests: NEVER,
  },
  logs: Number.POSITIVE_INFINITY,
  pieces: Number.POSITIVE_INFINITY,
};
/** As the real one, in a tenth of the time. */
const SMALL: BudgetLimits = {
  ...UNBOUNDED,
  rates: {
    ...UNBOUNDED.rates,
    sessions: { burst: 12, perSecond: 1 },
    logs: { burst: 50, perSecond: 1 / 120 },
    frames: { burst: 200, perSecond: 20 },
  },
};
const logId = (n: number): Buffer => {
  const id = Buffer.alloc(16, 7);
  id.writeUInt32BE(n);
  return id;
};
const chain = Buffer.alloc(16, 1);

type Action = (session: HubSession, i: number) => void;

/** Knows its generation, and nothing else that it is told. */
class Flooder extends RecordingMember {
  logs: LogSummary[] = [];

  override hello(): SelfDescription {
    return { ...super.hello(), logs: this.logs, generation: this.welcomes.at(-1)?.generation ?? 0 };
  }
}

describe(`sessions: what one hub may cost (seed ${testSeed})`, () => {
  let who: Cast;
  let clock: FakeClock;
  let member: Flooder;
  const random = seededRandom(testSeed);
  const lines: { level: number; cause?: string; msg: string; unsaid?: number }[] = [];
  const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line)) });
  before(async () => {
    who = await cast();
  });
  beforeEach(() => {
    clock = new FakeClock();
    member = new Flooder(who.hub, who.trust, clock);
    lines.length = 0;
  });

  const newCloud = (budget?: BudgetLimits) =>
    new SmallCloud({ node: who.cloud, trust: who.trust, clock, random, log, ...(budget ? { budget } : {}) });
  const connect = (cloud: SmallCloud): HubSession => {
    const carrier = new MemoryCarrier();
    cloud.serve(carrier.cloud, who.hub.certificate);
    return new HubSession({ pipe: carrier.hub, member, clock, nonce: random.bytes(32), log: silentLogger });
  };
  const up = async (cloud: SmallCloud): Promise<HubSession> => {
    const session = connect(cloud);
    expect(await session.opened).to.equal(undefined);
    return session;
  };
  const send = (session: HubSession, id: Buffer, first: number): void => {
    const reading = { sensor: 1, takenAt: epochMs(0), state: State.OK, message: '', values: [] };
    const flushes = [{ number: first, readings: [reading] }];
    const content = packBatch({ log: id, firstFlush: first, chain }, flushes);
    session.sendContent({ $case: 'batch', value: signContent(who.hub.key, TAGS.BATCH, content) }, Lane.LIVE);
  };
  const tell = (session: HubSession, id: Buffer, first: number, count = 1): void => {
    const content = Gap.encode({
      ...{ machineId: keyOf(who.hub).machine, log: id, firstFlush: first, flushCount: count },
      ...{ reason: GapReason.LOG_FULL, noticedAtMs: 0, witness: Witness.HUB, readingCount: 0 },
    }).finish();
    session.sendContent({ $case: 'gap', value: signContent(who.hub.key, TAGS.GAP, content) }, Lane.CONTROL);
  };
  /** Repeats `action` until the session has ended or it was done `times` times; every batch is waited for. */
  const flood = async (cloud: SmallCloud, times: number, action: Action): Promise<Ending | undefined> => {
    const session = await up(cloud);
    let why: Ending | undefined;
    void session.ended.then((ended) => {
      why = ended;
    });
    for (let i = 0; i < times && !why; i++) {
      action(session, i);
      if (i % 50 === 49) await settle();
    }
    await settle();
    return why;
  };
  const ledgerIn = (cloud: SmallCloud) => cloud.services.ledger.of(keyOf(who.hub));

  it('new logs: no more than its service can have been started', async () => {
    const cloud = newCloud(SMALL);
    const why = await flood(cloud, 70, (session, i) => send(session, logId(i), 0));
    expect(why).to.include({ code: CloseCode.EXHAUSTED });
    expect(why?.message).to.contain('started again and again');
    expect(why?.retryAfterMs).to.be.within(110_000, 120_000);
    expect((await ledgerIn(cloud)).logs.size).to.equal(50);
    expect(lines.find(({ cause }) => cause?.includes('too many new logs'))?.level).to.equal(40);

    await clock.advance(milliseconds(why?.retryAfterMs ?? 0));
    const again = await flood(cloud, 2, (session, i) => send(session, logId(1_000 + i), 0));
    expect(again).to.include({ code: CloseCode.EXHAUSTED });
    expect((await ledgerIn(cloud)).logs.size).to.equal(51);
    // What belongs to a log that is known costs none.
    expect(await flood(cloud, 10, (session, i) => send(session, logId(0), 1 + i))).to.equal(undefined);
  });

  it('logs in all: what has come over years is no reason for the cloud to fall', async () => {
    const cloud = newCloud({ ...UNBOUNDED, logs: 100 });
    const why = await flood(cloud, 200, (session, i) => send(session, logId(i), 0));
    expect(why).to.include({ code: CloseCode.EXHAUSTED, retryAfterMs: 300_000 });
    expect((await ledgerIn(cloud)).logs.size).to.equal(100);
    expect((await cloud.logs(keyOf(who.hub))).size, 'in the store').to.equal(100);
  });

  it('holes: what fills one or goes on is taken, what makes one more is not', async () => {
    const cloud = newCloud({ ...UNBOUNDED, pieces: 100 });
    const id = logId(0);
    member.logs = [LogSummary.fromPartial({ log: id, next: 10_000 })];
    const why = await flood(cloud, 200, (session, i) => send(session, id, 2 * i));
    expect(why).to.include({ code: CloseCode.EXHAUSTED });
    expect((await ledgerIn(cloud)).pieces).to.equal(100);
    expect(await flood(cloud, 50, (session, i) => send(session, id, 2 * i + 1))).to.equal(undefined);
    expect((await ledgerIn(cloud)).pieces).to.equal(50);
    expect(await flood(cloud, 200, (session, i) => send(session, id, 1_000 + 2 * i))).to.not.equal(undefined);
    expect((await ledgerIn(cloud)).look(id).held.rangeCount).to.equal(100);
  });

  it('gaps: each is a piece; told again they are none', async () => {
    const cloud = newCloud({ ...UNBOUNDED, pieces: 100 });
    // Each contains the one before, so that nothing of it is known.
    const nested: Action = (session, i) => tell(session, logId(0), 10_000 - i, i + 1);
    expect(await flood(cloud, 200, nested)).to.include({ code: CloseCode.EXHAUSTED });
    expect((await ledgerIn(cloud)).pieces).to.equal(100);
    expect((await ledgerIn(cloud)).look(logId(0)).gaps).to.have.length(100);
    expect(await flood(cloud, 100, nested)).to.equal(undefined);
    expect(lines.filter(({ msg }) => msg === 'gap recorded')).to.have.length.at.most(31);
  });

  it('tails that it makes the cloud miss are its own logs, too', async () => {
    const cloud = newCloud(SMALL);
    let n = 0;
    let why: Ending | undefined;
    for (let round = 0; round < 5 && !why; round++) {
      const session = connect(cloud);
      why = await session.opened;
      for (let i = 0; i < 20; i++) {
        const value = { ...member.heartbeat(), log: logId(n++), next: 1_000_000, number: 1 };
        session.send({ $case: 'heartbeat', value });
      }
      await settle();
      session.close(ending(CloseCode.DONE, 'and now it knows nothing of them'));
      await settle();
    }
    expect(why).to.include({ code: CloseCode.EXHAUSTED });
    expect((await ledgerIn(cloud)).logs.size).to.equal(50);
  });

  it('sessions: as many as somebody can need who searches a path', async () => {
    const cloud = newCloud(SMALL);
    const visit = async () => {
      const session = connect(cloud);
      const why = await session.opened;
      session.close(ending(CloseCode.DONE, 'only looking'));
      await settle();
      return why;
    };
    for (let i = 0; i < 12; i++) expect(await visit(), `session ${i}`).to.equal(undefined);
    const issued = member.welcomes.at(-1)?.generation;
    for (let i = 0; i < 100; i++) {
      const why = await visit();
      expect(why).to.include({ code: CloseCode.EXHAUSTED });
      expect(why?.retryAfterMs).to.be.within(1, 1_000);
    }
    expect(lines.filter(({ cause }) => cause?.includes('too many sessions'))).to.have.length.at.most(31);
    for (let i = 0; i < 5; i++) {
      await clock.advance(seconds(1));
      expect(await visit()).to.equal(undefined);
    }
    expect(member.welcomes.at(-1)?.generation, 'what was refused cost no generation').to.equal((issued ?? 0) + 5);
  });

  it('messages: more than any hub has to say', async () => {
    const cloud = newCloud(SMALL);
    const beat: Action = (session) => session.send({ $case: 'heartbeat', value: { ...member.heartbeat(), number: 1 } });
    expect(await flood(cloud, 210, beat)).to.include({ code: CloseCode.EXHAUSTED });
  });

  it('bytes of batches: as many as a log can hold, and then as many as sensors can say', async () => {
    const bytes = { burst: 20_000, perSecond: 1_000 };
    const cloud = newCloud({ ...UNBOUNDED, rates: { ...UNBOUNDED.rates, bytes } });
    let sent = 0;
    const why = await flood(cloud, 1_000, (session, i) => {
      send(session, logId(0), i);
      sent += 1;
    });
    expect(why).to.include({ code: CloseCode.EXHAUSTED });
    expect(sent).to.be.within(50, 150);
    await clock.advance(seconds(10));
    expect(await flood(cloud, 20, (session, i) => send(session, logId(0), 500 + i))).to.equal(undefined);
  });

  describe('batches that hold far more than their bytes', () => {
    const values = Array.from({ length: 256 }, (_, i) => ({ name: `m${i}`, unit: '', value: 1 }));
    const readings = Array.from({ length: 256 }, () => {
      return { sensor: 1, takenAt: epochMs(0), state: State.OK, message: '', values };
    });
    const bomb = (first: number) =>
      packBatch({ log: logId(0), firstFlush: first, chain }, [{ number: first, readings }]);
    const cost = unfoldingCost(openBatchHeader(bomb(0)));
    const drop = (session: HubSession, i: number): number =>
      session.sendContent({ $case: 'batch', value: signContent(who.hub.key, TAGS.BATCH, bomb(i)) }, Lane.LIVE);
    const unfolding = { burst: 10 * cost, perSecond: cost };

    it('are counted by what they hold', async () => {
      let bytes = 0;
      const cloud = newCloud({ ...UNBOUNDED, rates: { ...UNBOUNDED.rates, unfolding } });
      const why = await flood(cloud, 20, (session, i) => {
        bytes += drop(session, i);
      });
      expect(why).to.include({ code: CloseCode.EXHAUSTED });
      expect(why?.message).to.contain('too few bytes');
      expect(bytes / 20, 'bytes each').to.be.below(cost / 100);
      await until(async () => (await ledgerIn(cloud)).look(logId(0)).held.size === 10, 'what was paid for is stored');
      await clock.advance(seconds(2));
      expect(await flood(cloud, 2, (session, i) => void drop(session, 10 + i))).to.equal(undefined);
      expect(await flood(newCloud(UNBOUNDED), 20, (session, i) => void drop(session, i)), 'control').to.equal(
        undefined,
      );
    });

    it('are asked for with patience: a question is short and its answer dear', async () => {
      const asked = { $case: 'digestRequest', value: { log: logId(0), range: { first: 0, count: 8 } } } as const;
      const answers = () => member.received_.filter(({ $case }) => $case === 'digestAnswer').length;
      const ask = async (digests: BudgetLimits['rates']['digests']) => {
        const cloud = newCloud({ ...UNBOUNDED, rates: { ...UNBOUNDED.rates, digests } });
        await flood(cloud, 8, (session, i) => void drop(session, i));
        const session = await up(cloud);
        await until(async () => (await ledgerIn(cloud)).look(logId(0)).held.size === 8, 'all are stored');
        for (let i = 0; i < 3; i++) session.send(asked);
        return session;
      };
      const free = await ask(NEVER);
      await until(async () => answers() === 3, 'control: without a bound they are answered at once');
      free.close(ending(CloseCode.DONE, ''));

      member.received_.length = 0;
      const session = await ask({ burst: 10 * cost, perSecond: cost });
      await until(async () => answers() === 1, 'the first is answered');
      // Seven of the eight have to be unfolded: what the first one ends with is on record.
      for (let second = 0; second < 9; second++) {
        session.send({ $case: 'heartbeat', value: { ...member.heartbeat(), number: 100 + second } });
        await clock.advance(seconds(1));
        await settle();
      }
      expect(answers()).to.equal(2);
      expect(member.received_.filter(({ $case }) => $case === 'heartbeatAnswer')).to.have.length.at.least(9);
      await clock.advance(seconds(4));
      await until(async () => answers() === 3, 'the last is answered in the end');
      expect(session.state).to.equal('up');
    });

    it('are not asked for without end', async () => {
      const cloud = newCloud({ ...UNBOUNDED, rates: { ...UNBOUNDED.rates, digests: { burst: 1, perSecond: 1 } } });
      await flood(cloud, 2, (session, i) => void drop(session, i));
      const value = { log: logId(0), range: { first: 0, count: 2 } };
      const why = await flood(cloud, 5_000, (session) => session.send({ $case: 'digestRequest', value }));
      expect(why).to.include({ code: CloseCode.EXHAUSTED });
    });
  });

  it('control: without bounds all of that is taken', async () => {
    const cloud = newCloud(UNBOUNDED);
    expect(await flood(cloud, 70, (session, i) => send(session, logId(i), 0))).to.equal(undefined);
    expect(await flood(cloud, 200, (session, i) => send(session, logId(0), 2 * i + 2))).to.equal(undefined);
    expect(await flood(cloud, 200, (session, i) => tell(session, logId(1), 10_000 - i, i + 1))).to.equal(undefined);
    const beat: Action = (session) => session.send({ $case: 'heartbeat', value: { ...member.heartbeat(), number: 1 } });
    expect(await flood(cloud, 210, beat)).to.equal(undefined);
    await until(async () => (await ledgerIn(cloud)).pieces >= 470, 'everything is stored');
    expect((await ledgerIn(cloud)).logs.size).to.equal(70);
  });
});

describe('the budget of a hub', () => {
  it('is more than an honest one needs, however rough its days are', async () => {
    const clock = new FakeClock();
    const budget = new MachineBudget('a hub', BUDGET, { clock, log: silentLogger });
    const ledger = new HubLedger();
    let logs = 0;
    const start = () => {
      budget.record(ledger, logId(logs), true);
      ledger.log(logId(logs++)).hold(0, { flushCount: 1, readingCount: 1, chain });
    };
    // Many starts without a cloud, all delivered at once; then a service that is started every five minutes for a week.
    for (let i = 0; i < 256; i++) start();
    for (let i = 0; i < 7 * 24 * 12; i++) {
      await clock.advance(minutes(5));
      start();
      budget.spend('sessions');
      // A full log of small flushes, delivered in as many batches as it takes.
      if (i % 288 !== 0) continue;
      budget.spend('bytes', 1_024 ** 3);
      budget.unfold(32 * 1_024 ** 3);
    }
    // A connector that comes and goes: a session in each second; heartbeats ten times a second.
    for (let i = 0; i < 600; i++) {
      await clock.advance(seconds(1));
      budget.spend('sessions');
      for (let beat = 0; beat < 10; beat++) budget.spend('frames');
      budget.spend('bytes', 100_000);
      budget.unfold(5_000_000);
    }
    // A damaged disk: thousands of gaps at once.
    for (let i = 0; i < 10_000; i++) {
      budget.spend('gaps');
      budget.record(ledger, logId(0), true);
      ledger.log(logId(0)).addGap({ ...gap(10 + 2 * i), count: 1 });
    }
  }).timeout(20_000);

  it('bounds what has to fit into one message', () => {
    const ledger = new HubLedger();
    // Numbers that take as many bytes as numbers can.
    const far = 2 ** 51;
    const rest = BUDGET.pieces - BUDGET.logs / 2;
    for (let i = 0; i < BUDGET.logs / 2; i++) ledger.log(logId(i)).hold(far, { flushCount: 1, readingCount: 1, chain });
    for (let i = 1; i <= rest; i++) {
      if (i % 2 === 0) ledger.log(logId(0)).addGap({ ...gap(far + 3 * i), count: 1 });
      else ledger.log(logId(0)).hold(far + 3 * i, { flushCount: 1, readingCount: 1, chain });
    }
    expect(ledger.pieces).to.equal(BUDGET.pieces);
    const states = ledger.all().map(([, state]) => state);
    const holdings = states.slice(0, MOST_LOGS).map((state) => state.holding());
    expect(Welcome.encode(Welcome.fromPartial({ holdings })).finish().length).to.be.below(MAX_ENVELOPE_BYTES - 10_000);
    const logs = states.map(ledgerOf);
    expect(GetLedgerResponse.encode({ logs, nextPageToken: '' }).finish().length).to.be.below(
      DEFAULT_LIMITS.messageBytes,
    );
  });

  it('says how long to wait, and no fault of it is for ever', () => {
    const clock = new FakeClock();
    const budget = new MachineBudget('a hub', BUDGET, { clock, log: silentLogger });
    for (const expense of ['sessions', 'logs', 'frames'] as const) {
      const spend = () => {
        for (;;) budget.spend(expense);
      };
      expect(spend, expense)
        .to.throw(LinkFault)
        .that.includes({ code: 'link.exhausted', permanent: false })
        .with.property('retryAfter')
        .that.is.greaterThan(0);
    }
  });

  const gap = (first: number) => ({
    ...{ first, count: 1, reason: GapReason.STORE_DAMAGED, witness: Witness.HUB },
    ...{ noticedAtMs: 0, readingCount: 0 },
  });
});
