// Rules of what is stored: acknowledgements, resuming after a cut, exactly once, credit, gaps, digests.
import { Lane } from '../../../gen/occmesh/link/v1/link.js';
import { acknowledged, comeBack, count, heldExactly, includes, newLog, send } from '../delivery.js';
import { type Rule, require, rule } from '../rule.js';
import { Session } from '../session.js';

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
