// Telling: what is written down to be told arrives, in messages that stay the same however often they are repeated.
import { expect } from 'chai';
import fc from 'fast-check';
import { RESEND } from '../../../../src/cloud/notify/courier.js';
import { MOST_IN_ONE, MOST_WAITING } from '../../../../src/cloud/notify/outbox.js';
import type { MemoryStore } from '../../../../src/storage/memory.js';
import { testSeed } from '../../../support/seeded-random.js';
import { alarmId, PostOffice } from './post-office.js';

const HOUR = 3_600;
const DAY = 24 * HOUR;

describe(`notify: dispatcher (seed ${testSeed})`, () => {
  let office: PostOffice;
  beforeEach(async () => {
    office = await PostOffice.open();
  });
  afterEach(() => office[Symbol.asyncDispose]());

  describe('messages', () => {
    it('hold what becomes due within two seconds, and nothing later', async () => {
      const channel = await office.channel();
      await office.notice(channel, 1);
      await office.pass(1);
      await office.notice(channel, 2, 'changed');
      await office.notice(channel, 3, 'raised', 5);
      await office.pass(0.9);
      expect(office.tries).to.deep.equal([]);
      await office.pass(0.2);
      expect(office.told(channel)).to.deep.equal([['raised 1', 'changed 2']]);
      expect(office.waiting(channel)).to.have.length(1);
      await office.pass(10);
      expect(office.told(channel)).to.deep.equal([['raised 1', 'changed 2'], ['raised 3']]);
      expect(office.waiting(channel)).to.deep.equal([]);
      expect(await office.deliveries()).to.deep.equal(
        office.tries.map(({ id, channelId }, i) => ({
          ...{ channelId, id, error: '' },
          alarmIds: i === 0 ? [alarmId(1), alarmId(2)] : [alarmId(3)],
        })),
      );
    });

    it('wait as long as the channel wants', async () => {
      const channel = await office.channel();
      await office.notice(channel, 1, 'raised', HOUR);
      await office.pass(HOUR);
      expect(office.tries).to.deep.equal([]);
      await office.pass(2);
      expect(office.told(channel)).to.deep.equal([['raised 1']]);
    });

    it('hold a hundred notices at most, the oldest first', async () => {
      const channel = await office.channel();
      const numbers = Array.from({ length: 2 * MOST_IN_ONE + 50 }, (_, i) => i);
      await office.notices(channel, numbers);
      await office.pass(2);
      expect(office.told(channel).map(({ length }) => length)).to.deep.equal([MOST_IN_ONE, MOST_IN_ONE, 50]);
      expect(office.told(channel).flat()).to.deep.equal(numbers.map((n) => `raised ${n}`));
    });

    it('are sent after a start, too, when their time came while nobody was there', async () => {
      const channel = await office.channel();
      await office.notice(channel, 1, 'raised', 60);
      await office.stop();
      await office.pass(HOUR);
      await office.crash();
      await office.pass(1);
      expect(office.told(channel)).to.deep.equal([['raised 1']]);
    });
  });

  describe('repetitions', () => {
    it('are the same as before: after a crash between sending and removal, although there is more to tell', async () => {
      const channel = await office.channel();
      await office.notice(channel, 1);
      let held: MemoryStore | undefined;
      office.onTry = () => {
        held ??= office.store.restarted();
      };
      await office.pass(2);
      expect(office.waiting(channel)).to.deep.equal([]);
      await office.crash(held);
      await office.notice(channel, 2);
      await office.pass(10);
      const [first, again, next] = office.tries;
      expect(again).to.deep.include({ id: first?.id, content: first?.content });
      expect(next?.said).to.deep.equal(['raised 2']);
      expect(next?.id).to.not.equal(first?.id);
      expect(office.tries).to.have.length(3);
    });

    it('do not happen after a crash behind the removal (the control)', async () => {
      const channel = await office.channel();
      await office.notice(channel, 1);
      await office.pass(2);
      await office.crash();
      await office.pass(HOUR);
      expect(office.tries).to.have.length(1);
    });

    it('come until it is accepted, at waits that grow to fifteen minutes, and never with anything added', async () => {
      const channel = await office.channel();
      office.answers.set(channel, 'refuse');
      await office.notice(channel, 1);
      await office.pass(60);
      await office.notice(channel, 2);
      await office.pass(DAY);
      const [first] = office.tries;
      expect(new Set(office.tries.map(({ id, content }) => `${id} ${content}`))).to.have.property('size', 1);
      const gaps = office.tries.slice(1).map(({ atMs }, i) => atMs - (office.tries[i]?.atMs ?? 0));
      const bound = (i: number) => Math.min(RESEND.first * RESEND.factor ** i, RESEND.cap);
      for (const [i, gap] of gaps.entries()) expect(gap).to.be.at.most(bound(i) + 1);
      expect(gaps.length, 'full jitter: half the bound, on average').to.be.within(120, 320);
      expect(Math.max(...gaps), 'they grow').to.be.greaterThan(5 * 60_000);
      office.answers.set(channel, 'accept');
      await office.pass(HOUR);
      expect(office.told(channel)).to.deep.equal([['raised 1'], ['raised 2']]);
      expect((await office.deliveries()).map(({ id, error }) => [id, error])[0]).to.deep.equal([first?.id, '']);
    });

    it('end after three days, which is on record, and what comes later is still told', async () => {
      const channel = await office.channel();
      office.answers.set(channel, 'refuse');
      await office.notice(channel, 1);
      await office.pass(3 * DAY - 60);
      expect(await office.deliveries()).to.deep.equal([]);
      expect(office.waiting(channel)).to.have.length(1);
      await office.pass(HOUR);
      const [given] = await office.deliveries();
      expect(given).to.deep.include({ error: 'no thanks', alarmIds: [alarmId(1)], id: office.tries[0]?.id });
      expect(office.waiting(channel)).to.deep.equal([]);
      office.answers.set(channel, 'accept');
      await office.notice(channel, 2);
      await office.pass(HOUR);
      expect(office.told(channel)).to.deep.equal([['raised 1'], ['raised 2']]);
    });

    it('try what has waited for longer than that once', async () => {
      const channel = await office.channel();
      await office.notice(channel, 1);
      await office.stop();
      await office.pass(10 * DAY);
      office.answers.set(channel, 'refuse');
      await office.crash();
      await office.pass(DAY);
      expect(office.tries).to.have.length(1);
      expect((await office.deliveries()).map(({ error }) => error)).to.deep.equal(['no thanks']);
    });

    it('do not happen because the store cannot be written: what was accepted is', async () => {
      const channel = await office.channel();
      await office.notice(channel, 1);
      office.onTry = () => office.store.failNextWrite(5);
      await office.pass(2);
      expect(office.waiting(channel), 'still there').to.have.length(1);
      office.onTry = () => undefined;
      await office.pass(HOUR);
      expect(office.waiting(channel)).to.deep.equal([]);
      expect(office.tries).to.have.length(1);
    });

    it('never are of what was not settled: no try without a message in the store', async () => {
      const channel = await office.channel();
      await office.notice(channel, 1);
      office.store.failNextWrite(3);
      await office.pass(2);
      expect(office.tries).to.deep.equal([]);
      await office.pass(60);
      expect(office.told(channel)).to.deep.equal([['raised 1']]);
    });
  });

  describe('channels', () => {
    it('hold up no other: one refuses, one hangs, one has it at once', async () => {
      const [refusing, hanging, well] = [await office.channel(1), await office.channel(2), await office.channel(3)];
      office.answers.set(refusing, 'refuse').set(hanging, 'hang');
      for (const channel of [refusing, hanging, well]) await office.notice(channel, 1);
      await office.pass(2);
      await office.notice(well, 2);
      await office.pass(2);
      expect(office.told(well)).to.deep.equal([['raised 1'], ['raised 2']]);
      expect(office.ids(hanging)).to.have.length(1);
    });

    it('remember why the last try failed, written down when it changes, until one succeeds', async () => {
      const channel = await office.channel();
      office.answers.set(channel, 'refuse');
      office.error = `no \u0000\r\n thanks\u202e ${'x'.repeat(1_000)}`;
      await office.notice(channel, 1);
      await office.pass(2);
      expect(office.lastError(channel))
        .to.match(/^no thanks x+…$/)
        .and.to.have.length(256);
      const { writes } = office.store;
      await office.pass(600);
      expect(office.tries.length).to.be.greaterThan(3);
      expect(office.store.writes, 'nothing new').to.equal(writes);
      office.error = 'later';
      await office.pass(2_000);
      expect(office.lastError(channel)).to.equal('later');
      office.answers.set(channel, 'accept');
      await office.pass(2_000);
      expect(office.lastError(channel)).to.equal(undefined);
      office.complaint = 'not for all';
      await office.notice(channel, 2);
      await office.pass(2);
      expect(office.lastError(channel)).to.equal('not for all');
      expect(office.waiting(channel)).to.deep.equal([]);
    });

    it('end with what waits for them, and with what is under way', async () => {
      const channel = await office.channel();
      office.answers.set(channel, 'hang');
      await office.notice(channel, 1);
      await office.pass(2);
      await office.removeChannel(channel);
      await office.pass(DAY);
      expect(office.tries).to.have.length(1);
      expect(await office.deliveries()).to.deep.equal([]);
      expect(office.clock.armed).to.equal(0);
    });

    it('leave nothing armed and nothing under way when all stops', async () => {
      const [hanging, refusing, idle] = [await office.channel(1), await office.channel(2), await office.channel(3)];
      office.answers.set(refusing, 'refuse').set(hanging, 'hang');
      for (const channel of [hanging, refusing]) await office.notice(channel, 1);
      await office.notice(idle, 1, 'raised', HOUR);
      await office.pass(10);
      expect(office.clock.armed).to.be.greaterThan(0);
      await office.stop();
      expect(office.clock.armed).to.equal(0);
    });

    it('keep two thousand notices at most: the oldest go, and that is on record', async () => {
      const channel = await office.channel();
      office.answers.set(channel, 'refuse');
      await office.notice(channel, 0);
      await office.pass(2);
      const numbers = (from: number, count: number) => Array.from({ length: count }, (_, i) => from + i);
      await office.notices(channel, numbers(1, MOST_WAITING - 1));
      await office.settle();
      expect(await office.deliveries(), 'as many as may').to.deep.equal([]);
      await office.notices(channel, numbers(MOST_WAITING, 2));
      await office.settle();
      const waiting = office.waiting(channel);
      expect(waiting.length).to.equal(1_801);
      expect(
        waiting.filter(({ deliveryId }) => deliveryId !== undefined),
        'what is under way stays',
      ).to.have.length(1);
      expect(waiting.some(({ alarm }) => alarm.id === alarmId(MOST_WAITING + 1))).to.equal(true);
      const [dropped] = await office.deliveries();
      expect(dropped?.error).to.equal('more than 2000 notices wait: the oldest 201 were dropped');
      expect(dropped?.alarmIds[0]).to.equal(alarmId(1));
      expect(dropped?.alarmIds).to.have.length(100);
    });
  });

  it('loses nothing, and sends nothing that was accepted again, whatever happens', async () => {
    const tell = fc.record({ do: fc.constant('tell' as const), channel: fc.nat(1), later: fc.nat(40) });
    const step = fc.oneof(
      { arbitrary: tell, weight: 4 },
      fc.record({ do: fc.constant('pass' as const), howLong: fc.integer({ min: 1, max: 120 }) }),
      fc.record({
        do: fc.constant('answer' as const),
        channel: fc.nat(1),
        answer: fc.constantFrom('accept' as const, 'refuse' as const, 'hang' as const),
      }),
      fc.record({ do: fc.constant('crash' as const) }),
      fc.record({ do: fc.constant('crash when sent' as const), howLong: fc.integer({ min: 1, max: 60 }) }),
      fc.record({ do: fc.constant('break the store' as const), times: fc.integer({ min: 1, max: 4 }) }),
    );
    const property = fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 40, size: 'max' }), async (steps) => {
      await using post = await PostOffice.open();
      const channels = [await post.channel(1), await post.channel(2)];
      const written = new Set<string>();
      const accepted = new Set<string>();
      const contents = new Map<string, string>();
      const wrong: string[] = [];
      let held: MemoryStore | undefined;
      let hold = false;
      post.onTry = ({ id, notices }) => {
        if (hold) held ??= post.store.restarted();
        const { content, channelId } = post.tries.at(-1) ?? { content: '', channelId: '' };
        // Not by assertions: what is thrown here is a receiver that refuses.
        if ((contents.get(id) ?? content) !== content) wrong.push(`another content of ${id}`);
        contents.set(id, content);
        for (const notice of notices) {
          const stored = post.journal.tables.notices.get(notice.id);
          if (stored?.deliveryId !== id)
            wrong.push(`${notice.id} is sent as ${id} and stored as ${stored?.deliveryId}`);
          if ((post.answers.get(channelId) ?? 'accept') === 'accept') accepted.add(notice.id);
        }
      };
      for (const [n, one] of steps.entries()) {
        if (one.do === 'tell') {
          const tell = () => post.notice(channels[one.channel] ?? '', n, 'raised', one.later);
          // What the store refuses was never written down.
          await tell().then(
            (id) => written.add(id),
            () => undefined,
          );
        } else if (one.do === 'pass') await post.pass(one.howLong);
        else if (one.do === 'answer') post.answers.set(channels[one.channel] ?? '', one.answer);
        else if (one.do === 'crash') await post.crash();
        else if (one.do === 'break the store') post.store.failNextWrite(one.times);
        else {
          hold = true;
          await post.pass(one.howLong);
          hold = false;
          if (held) await post.crash(held);
          held = undefined;
        }
      }
      // Whoever hangs is cut off by its transport; here by a last start.
      post.answers.clear();
      await post.crash();
      await post.pass(2 * HOUR);
      expect(wrong).to.deep.equal([]);
      expect(
        [...written].filter((id) => !accepted.has(id)),
        'lost',
      ).to.deep.equal([]);
      for (const channel of channels) expect(post.waiting(channel)).to.deep.equal([]);
    });
    await fc.assert(property, { seed: testSeed, numRuns: 60 });
  });
});
