// Rules of what is stored: acknowledgements, resuming after a cut, exactly once, windows and credit, gaps, digests.
import { Lane } from '../../../gen/occmesh/link/v1/link.js';
import type { FlushRange } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { SigningKey } from '../../identity/keys.js';
import type { Bench } from '../bench.js';
import { Log, type MadeBatch } from '../log.js';
import { Broken, type Rule, require, rule } from '../rule.js';
import { Session } from '../session.js';
import { flipped } from './handshake.js';

const newLog = (bench: Bench): Log => new Log(bench.hub, bench.clock.now());

const send = (session: Session, { signed }: MadeBatch, lane: Lane = Lane.LIVE): void =>
  session.sayContent({ $case: 'batch', value: signed }, lane);

const includes = (ranges: readonly FlushRange[], flush: number): boolean =>
  ranges.some(({ first, count }) => flush >= first && flush < first + count);

const count = (ranges: readonly FlushRange[]): number => ranges.reduce((sum, range) => sum + range.count, 0);

/** Waits until all of these are acknowledged, and nothing else is. */
async function acknowledged(session: Session, log: Log, batches: readonly MadeBatch[]): Promise<void> {
  const missing = new Set(batches.map(({ range }) => range.first));
  while (missing.size > 0) {
    const { value } = await session.hear('ack');
    require(Buffer.from(value.log).equals(log.id), 'an Ack of another log');
    for (const { first, count: many } of value.ranges) {
      for (let flush = first; flush < first + many; flush++) {
        require(flush < log.next, `flush ${flush} was acknowledged, and was never sent`);
        missing.delete(flush);
      }
    }
    const last = value.ranges.at(-1);
    const made = batches.find(({ range }) => last && range.first === last.first + last.count - 1);
    if (made) require(made.chain.equals(value.chain), 'the chain of an Ack is not that of the batch');
  }
}

/** A new session, and what its Welcome says of a log. */
async function comeBack(bench: Bench, log: Log) {
  const session = await Session.open(bench);
  session.greet({ change: { logs: [log.summary()] } });
  const { holdings } = await session.welcomed();
  const holding = holdings.find((one) => Buffer.from(one.log).equals(log.id));
  if (!holding) throw new Broken('Welcome says nothing of a log that Hello names');
  return { session, holding };
}

/** What the API says; a session that was cut is over when a new one is up. */
async function heldExactly(bench: Bench, log: Log, readings: number): Promise<void> {
  if (!bench.api) return;
  const held = await bench.api.readingsHeld(bench.hub.machineId, log.id);
  require(held === readings, `the ledger counts ${held} readings where ${readings} were sent`);
}

/** A batch that must neither be acknowledged nor kept. */
const notTaken =
  (reasons: readonly string[], make: (log: Log) => { batch: MadeBatch; lane?: Lane }) =>
  async (bench: Bench): Promise<void> => {
    const log = newLog(bench);
    const session = await Session.up(bench);
    const { batch, lane } = make(log);
    send(session, batch, lane);
    await session.endsWith(reasons, ['ack']);
    const { session: again, holding } = await comeBack(bench, log);
    again.cut();
    require(holding.held.length === 0, 'it was refused, and is held');
  };

export const STORING: readonly Rule[] = [
  rule(
    'link.ack.what-was-sent',
    'link.v1.Ack',
    'A batch is acknowledged with its own flushes and its own chain, and nothing else is.',
    async (bench) => {
      const log = newLog(bench);
      const session = await Session.up(bench);
      for (let i = 0; i < 3; i++) {
        const batch = log.write();
        send(session, batch);
        await acknowledged(session, log, [batch]);
      }
      session.cut();
    },
  ),
  rule(
    'link.ack.durable',
    'link.v1.Ack',
    'What was acknowledged is held: the next Welcome says so, and the ledger counts it.',
    async (bench) => {
      const log = newLog(bench);
      const session = await Session.up(bench);
      const batch = log.write();
      send(session, batch);
      await acknowledged(session, log, [batch]);
      session.cut();
      await heldExactly(bench, log, 1);
      const { session: again, holding } = await comeBack(bench, log);
      again.cut();
      require(includes(holding.held, 0), 'it was acknowledged, and is not held');
      require(batch.chain.equals(holding.chain), 'the chain of what is held is another');
    },
  ),
  rule(
    'link.batch.once',
    'link.v1.Ack.ranges',
    'A batch that is sent again is acknowledged again, and counted once.',
    async (bench) => {
      const log = newLog(bench);
      const session = await Session.up(bench);
      const batch = log.write();
      for (let i = 0; i < 2; i++) {
        send(session, batch);
        await acknowledged(session, log, [batch]);
      }
      session.cut();
      await heldExactly(bench, log, 1);
      const { session: again, holding } = await comeBack(bench, log);
      again.cut();
      require(count(holding.held) === 1, `${count(holding.held)} flushes are held of one`);
    },
  ),
  rule(
    'link.resume',
    'link.v1.Welcome.holdings',
    'After a cut the hub sends what Welcome does not name, and everything is there once.',
    async (bench) => {
      const log = newLog(bench);
      const session = await Session.up(bench);
      const batches = Array.from({ length: 5 }, () => log.write());
      for (const batch of batches.slice(0, 3)) send(session, batch);
      session.cut();
      const { session: again, holding } = await comeBack(bench, log);
      require([3, 4].every((flush) => !includes(holding.held, flush)), 'Welcome names flushes that were never sent');
      const owed = batches.filter(({ range }) => !includes(holding.held, range.first));
      for (const batch of owed) send(again, batch);
      await acknowledged(again, log, owed);
      again.cut();
      await heldExactly(bench, log, 5);
      const { session: third, holding: all } = await comeBack(bench, log);
      third.cut();
      require(count(all.held) === 5, `${count(all.held)} of 5 flushes are held`);
    },
  ),
  rule(
    'link.batch.signature',
    'telemetry.v1.Batch',
    'A batch whose signature does not verify ends the session, is not acknowledged and not kept.',
    notTaken(['UNAUTHENTIC'], (log) => {
      const batch = log.write();
      return { batch: { ...batch, signed: { ...batch.signed, signature: flipped(batch.signed.signature) } } };
    }),
  ),
  rule(
    'link.batch.author',
    'telemetry.v1.Batch',
    'A batch that no key of the session’s hub has signed is refused.',
    notTaken(['UNAUTHENTIC'], (log) => {
      const batch = log.write();
      const signature = SigningKey.generate().sign(Buffer.from('somebody else'));
      return { batch: { ...batch, signed: { ...batch.signed, signature } } };
    }),
  ),
  rule(
    'link.batch.key-id',
    'link.v1.LinkUp.batch',
    'A batch that names its key is refused: the session implies it.',
    async (bench) =>
      notTaken(['PROTOCOL'], (log) => {
        const batch = log.write();
        return { batch: { ...batch, signed: { ...batch.signed, keyId: bench.hub.key.publicKey.keyId } } };
      })(bench),
  ),
  rule(
    'link.batch.lane',
    'link.v1.Lane',
    'A batch in CONTROL is refused.',
    notTaken(['PROTOCOL'], (log) => ({ batch: log.write(), lane: Lane.CONTROL })),
  ),
  rule(
    'link.batch.implied-log',
    'link.v1.LinkUp.batch',
    'A batch may lack its log once a Heartbeat has named it, and not before.',
    async (bench) => {
      const without = ({ signed, ...batch }: MadeBatch): MadeBatch => {
        return { ...batch, signed: { ...signed, content: signed.content.subarray(18) } };
      };
      await notTaken(['PROTOCOL'], (log) => ({ batch: without(log.write()) }))(bench);
      const log = newLog(bench);
      const session = await Session.up(bench);
      const batch = log.write();
      session.beat(1, { log: log.id, next: log.next });
      send(session, without(batch));
      await acknowledged(session, log, [batch]);
      session.cut();
    },
  ),
  rule(
    'link.conflict',
    'link.v1.Conflict',
    'A batch that contradicts what is held is told as Conflict, and not stored.',
    async (bench) => {
      const log = newLog(bench);
      const session = await Session.up(bench);
      const batch = log.write();
      send(session, batch);
      await acknowledged(session, log, [batch]);
      send(session, log.contradict());
      const heard = await session.hear('conflict', 'ack');
      require(heard.$case === 'conflict', 'it was acknowledged');
      require(Buffer.from(heard.value.log).equals(log.id), 'a Conflict of another log');
      session.cut();
      const { session: again, holding } = await comeBack(bench, log);
      again.cut();
      require(batch.chain.equals(holding.chain), 'what was held has been replaced');
    },
  ),
  rule(
    'link.gap',
    'link.v1.GapAck',
    'A gap is recorded, and told as GapAck; the next Welcome names it.',
    async (bench) => {
      const log = newLog(bench);
      const session = await Session.up(bench);
      session.sayContent({ $case: 'gap', value: log.gap() }, Lane.CONTROL);
      const { value } = await session.hear('gapAck');
      require(Buffer.from(value.log).equals(log.id) && value.range?.first === 0, 'a GapAck of something else');
      session.cut();
      const { session: again, holding } = await comeBack(bench, log);
      again.cut();
      require(includes(holding.gaps, 0), 'Welcome does not name it');
    },
  ),
  rule(
    'link.gap.signature',
    'telemetry.v1.Gap',
    'A gap whose signature does not verify ends the session, and is not recorded.',
    async (bench) => {
      const log = newLog(bench);
      const session = await Session.up(bench);
      const gap = log.gap();
      session.sayContent({ $case: 'gap', value: { ...gap, signature: flipped(gap.signature) } }, Lane.CONTROL);
      await session.endsWith(['UNAUTHENTIC'], ['gapAck']);
    },
  ),
  rule(
    'link.digest',
    'link.v1.DigestAnswer',
    'A DigestRequest is answered with the chain of each flush that is held.',
    async (bench) => {
      const log = newLog(bench);
      const session = await Session.up(bench);
      const batches = [log.write(), log.write()];
      for (const batch of batches) send(session, batch);
      await acknowledged(session, log, batches);
      session.say({ $case: 'digestRequest', value: { log: log.id, range: { first: 0, count: 5 } } });
      const { digests } = (await session.hear('digestAnswer')).value;
      session.cut();
      require(digests.map(({ flush }) => flush).join() === '0,1', `flushes ${digests.map(({ flush }) => flush)}`);
      for (const { flush, chain } of digests) {
        if (chain.length === 16) require(batches[flush]?.chain.equals(chain) ?? false, `another chain at ${flush}`);
      }
    },
  ),
  rule(
    'link.credit.granted',
    'link.v1.Heartbeat.backlog_bytes',
    'A hub that says it has a backlog is granted credit, and may send BACKFILL with it.',
    async (bench) => {
      const log = newLog(bench);
      const session = await Session.up(bench);
      session.beat(1, { backlogBytes: 10_000 });
      const { value } = await session.hear('credit');
      require(value.backfillBytes > 0, 'a grant of nothing');
      const batch = log.write();
      send(session, batch, Lane.BACKFILL);
      await acknowledged(session, log, [batch]);
      session.cut();
    },
  ),
  rule(
    'link.credit.exceeded',
    'link.v1.Credit',
    'A hub that sends BACKFILL far beyond its credit, which starts at zero, is ended with EXHAUSTED.',
    async (bench) => {
      const log = newLog(bench);
      const session = await Session.up(bench);
      for (let i = 0; i < 4; i++) send(session, log.bulky(200_000), Lane.BACKFILL);
      await session.endsWith(['EXHAUSTED']);
    },
  ),
];
