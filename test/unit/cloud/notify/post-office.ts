// A dispatcher with its store in memory, virtual time, and receivers that do as a test says.
import type { AlarmRecord, ChannelRecord, NoticeRecord } from '../../../../src/cloud/alarms/records.js';
import { AlarmTables } from '../../../../src/cloud/alarms/tables.js';
import { EventLog } from '../../../../src/cloud/events/event-log.js';
import { Dispatcher } from '../../../../src/cloud/notify/dispatcher.js';
import type { Message } from '../../../../src/cloud/notify/message.js';
import { Journal } from '../../../../src/cloud/records/journal.js';
import { seconds } from '../../../../src/kernel/duration.js';
import { silentLogger } from '../../../../src/kernel/log.js';
import { Scope } from '../../../../src/kernel/scope.js';
import { MemoryStore } from '../../../../src/storage/memory.js';
import { FakeClock, settle } from '../../../support/fake-clock.js';
import { seededRandom, testSeed } from '../../../support/seeded-random.js';

export const uuidOf = (n: number): string => `01890000-0000-7000-8000-${n.toString(16).padStart(12, '0')}`;
export const CUSTOMER = uuidOf(1);

/** One try, as the receiver sees it. */
export interface Try {
  readonly channelId: string;
  readonly id: string;
  readonly atMs: number;
  /** `raised 7`: what of which alarm. */
  readonly said: readonly string[];
  /** All of it. */
  readonly content: string;
}

export type Answer = 'accept' | 'refuse' | 'hang';

export class PostOffice implements AsyncDisposable {
  readonly tries: Try[] = [];
  /** What receivers do, by channel; `accept` where nothing stands. */
  readonly answers = new Map<string, Answer>();
  /** Called before a receiver answers. */
  onTry: (message: Message) => void = () => undefined;
  /** What a receiver complains of although it accepts. */
  complaint: string | undefined;
  error = 'no thanks';
  journal: Journal<AlarmTables>;
  events: EventLog;
  #scope = new Scope();
  #number = 0;

  private constructor(
    public store: MemoryStore,
    readonly clock: FakeClock,
  ) {
    this.journal = new Journal(store, new AlarmTables());
    this.events = new EventLog({ store, clock, customers: () => [CUSTOMER] });
  }

  static async open(): Promise<PostOffice> {
    const office = new PostOffice(new MemoryStore(), new FakeClock());
    await office.#begin();
    return office;
  }

  async #begin(): Promise<void> {
    const { store, clock } = this;
    this.#scope = new Scope();
    this.journal = new Journal(store, new AlarmTables());
    this.#scope.defer(() => this.journal.close());
    this.events = new EventLog({ store, clock, customers: () => [CUSTOMER] });
    await this.journal.load();
    await this.events.load();
    const { journal, events } = this;
    const deliver = (channel: ChannelRecord, message: Message, signal: AbortSignal) =>
      this.#receive(channel, message, signal);
    const random = seededRandom(testSeed + this.#number++);
    new Dispatcher({ journal, events, clock, random, log: silentLogger, deliver }).start(this.#scope);
  }

  /** The cloud is killed and comes back with what the store held at some moment. */
  async crash(store: MemoryStore = this.store.restarted()): Promise<void> {
    await this.#scope.stop();
    this.store = store;
    await this.#begin();
  }

  async stop(): Promise<void> {
    await this.#scope.stop();
  }

  async channel(n = 1, change: Partial<ChannelRecord> = {}): Promise<string> {
    const id = uuidOf(0xc000 + n);
    const way = { kind: 'webhook', url: 'https://example.net/' } as const;
    const rules = { minSeverity: 'warning', deferMs: 0 } as const;
    await this.journal.transact(() =>
      this.journal.tables.channels.put({ v: 1, id, customerId: CUSTOMER, name: `c${n}`, way, ...rules, ...change }),
    );
    return id;
  }

  async removeChannel(id: string): Promise<void> {
    await this.journal.transact(() => {
      const { channels, notices } = this.journal.tables;
      channels.remove(id);
      for (const notice of [...notices.latestGroup(id)]) notices.remove(notice.id);
    });
  }

  /** Writes down that something about alarm `n` is to be told, `later` seconds from now. */
  async notice(channelId: string, n: number, notice: NoticeRecord['notice'] = 'raised', later = 0): Promise<string> {
    const [id = ''] = await this.notices(channelId, [n], notice, later);
    return id;
  }

  /** Of many alarms in one commit. */
  async notices(
    channelId: string,
    numbers: readonly number[],
    notice: NoticeRecord['notice'] = 'raised',
    later = 0,
  ): Promise<string[]> {
    const now = this.clock.now();
    const made = numbers.map((n): NoticeRecord => {
      const id = uuidOf(0x10_0000 + this.#number++);
      const due = { dueMs: now + 1_000 * later };
      return { v: 1, id, channelId, customerId: CUSTOMER, notice, alarm: alarmOf(n, now), ...due };
    });
    await this.journal.transact(() => made.map((one) => this.journal.tables.notices.put(one)));
    return made.map(({ id }) => id);
  }

  async pass(howLong: number): Promise<void> {
    await this.clock.advance(seconds(howLong));
  }

  settle(): Promise<void> {
    return settle();
  }

  waiting(channelId: string): NoticeRecord[] {
    return [...this.journal.tables.notices.group(channelId)];
  }

  lastError(channelId: string): string | undefined {
    return this.journal.tables.channels.get(channelId)?.lastError;
  }

  /** What each message said, tries of the same counted once. */
  told(channelId: string): (readonly string[])[] {
    return [...new Map(this.#triesOf(channelId).map(({ id, said }) => [id, said])).values()];
  }

  ids(channelId: string): string[] {
    return this.#triesOf(channelId).map(({ id }) => id);
  }

  async deliveries(): Promise<{ id: string; alarmIds: string[]; error: string }[]> {
    const { events } = await this.events.read(CUSTOMER, 0);
    return events.flatMap(({ what }) => (what?.$case === 'delivery' ? [what.value] : []));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#scope.stop();
    await this.store.stop();
  }

  #triesOf(channelId: string): Try[] {
    return this.tries.filter((one) => one.channelId === channelId);
  }

  async #receive({ id: channelId }: ChannelRecord, message: Message, signal: AbortSignal): Promise<string | undefined> {
    const { id, notices } = message;
    const said = notices.map(({ notice, alarm }) => `${notice} ${numberOf(alarm)}`);
    this.tries.push({ channelId, id, atMs: this.clock.monotonic(), said, content: JSON.stringify(notices) });
    this.onTry(message);
    switch (this.answers.get(channelId)) {
      case 'refuse':
        throw new Error(this.error);
      case 'hang':
        return new Promise((_, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason), { once: true });
        });
      default:
        return this.complaint;
    }
  }
}

const alarmOf = (n: number, now: number): AlarmRecord => ({
  ...{ v: 1, id: uuidOf(0xa0_0000 + n), customerId: CUSTOMER, machineId: uuidOf(2), sensor: 1 },
  ...{ cause: 'sensor', severity: 'warning', message: `alarm ${n}`, raisedAtMs: now, changedAtMs: now, comments: [] },
});

export const alarmId = (n: number): string => uuidOf(0xa0_0000 + n);
const numberOf = ({ id }: AlarmRecord): number => Number.parseInt(id.slice(-12), 16) - 0xa0_0000;
