// What waits to be told, in the store: which notices make up the next message of a channel, and what becomes of them. A
// message is settled before it is first sent, so that every repetition, also after a crash, is the same.
import { newId } from '../../identity/uuid.js';
import type { Clock } from '../../kernel/clock.js';
import { days, seconds } from '../../kernel/duration.js';
import type { Random } from '../../kernel/random.js';
import type { ChannelRecord, NoticeRecord } from '../alarms/records.js';
import type { AlarmTables } from '../alarms/tables.js';
import type { EventLog } from '../events/event-log.js';
import type { Journal } from '../records/journal.js';
import type { Message } from './message.js';

/** What becomes due within this time goes together. */
export const WINDOW = seconds(2);
/** How long it is tried. */
export const PATIENCE = days(3);
/** Notices of one message, and what they may take; one may always go. */
export const MOST_IN_ONE = 100;
const MOST_BYTES = 256 * 1_024;
/** Notices that may wait for one channel. Beyond that the oldest go, some more at once so that it is not done each time. */
export const MOST_WAITING = 2_000;
const LEFT_WAITING = 1_800;

export interface OutboxModules {
  readonly journal: Journal<AlarmTables>;
  readonly events: EventLog;
  readonly clock: Clock;
  readonly random: Random;
}

export class Outbox {
  readonly #tables: AlarmTables;

  constructor(private readonly modules: OutboxModules) {
    this.#tables = modules.journal.tables;
  }

  channel(id: string): ChannelRecord | undefined {
    return this.#tables.channels.get(id);
  }

  /** When a message is to be sent, milliseconds since 1970; undefined when nothing waits. */
  dueAt(channelId: string): number | undefined {
    let first: number | undefined;
    for (const { deliveryId, dueMs } of this.#tables.notices.group(channelId)) {
      if (deliveryId !== undefined) return 0;
      if (first === undefined || dueMs < first) first = dueMs;
    }
    return first === undefined ? undefined : first + WINDOW;
  }

  /** The message that is on its way, else a new one of what is due; undefined when there is neither. */
  next(channelId: string): Promise<Message | undefined> {
    const { journal, clock } = this.modules;
    return journal.transact(() => {
      const { channels, notices } = this.#tables;
      if (!channels.latest(channelId)) return undefined;
      const all = inOrder(notices.latestGroup(channelId));
      const [underWay] = all.filter(({ deliveryId }) => deliveryId !== undefined);
      if (underWay?.deliveryId !== undefined) {
        const id = underWay.deliveryId;
        return { id, notices: all.filter(({ deliveryId }) => deliveryId === id) };
      }
      const chosen = fitting(all.filter(({ dueMs }) => dueMs <= clock.now()));
      if (chosen.length === 0) return undefined;
      const deliveryId = this.#newId();
      return { id: deliveryId, notices: chosen.map((notice) => notices.put({ ...notice, deliveryId })) };
    });
  }

  /** It has arrived, `complaint` notwithstanding. */
  async accepted(channelId: string, message: Message, complaint: string | undefined): Promise<void> {
    await this.#change(channelId, (channel) => {
      this.#remember(channel, complaint);
      this.#settle(channel, message, '');
    });
  }

  /** It has not. When all of it is older than PATIENCE, that was the last try. */
  async failed(channelId: string, message: Message, error: string): Promise<void> {
    const newest = Math.max(...message.notices.map(({ dueMs }) => dueMs));
    await this.#change(channelId, (channel) => {
      this.#remember(channel, error);
      if (this.modules.clock.now() > newest + PATIENCE) this.#settle(channel, message, error);
    });
  }

  /** When more wait than may: the oldest go. */
  async trim(channelId: string): Promise<void> {
    await this.#change(channelId, (channel) => {
      const waiting = inOrder(this.#tables.notices.latestGroup(channelId)).filter(
        ({ deliveryId }) => deliveryId === undefined,
      );
      if (waiting.length <= MOST_WAITING) return;
      const gone = waiting.slice(0, waiting.length - LEFT_WAITING);
      const error = `more than ${MOST_WAITING} notices wait: the oldest ${gone.length} were dropped`;
      this.#settle(channel, { id: this.#newId(), notices: gone }, error);
    });
  }

  /** Nothing is done for a channel that has been removed meanwhile. */
  async #change(channelId: string, change: (channel: ChannelRecord) => void): Promise<void> {
    await this.modules.journal.transact(() => {
      const channel = this.#tables.channels.latest(channelId);
      if (channel) change(channel);
    });
    this.modules.events.told();
  }

  #remember({ lastError: before, ...channel }: ChannelRecord, lastError: string | undefined): void {
    if (before !== lastError) this.#tables.channels.put({ ...channel, ...(lastError ? { lastError } : {}) });
  }

  #settle(channel: ChannelRecord, { id, notices }: Message, error: string): void {
    const { journal, events } = this.modules;
    for (const notice of notices) this.#tables.notices.remove(notice.id);
    const alarmIds = notices.slice(0, MOST_IN_ONE).map(({ alarm }) => alarm.id);
    const value = { channelId: channel.id, id, alarmIds, error };
    journal.also(events.append(channel.customerId, { $case: 'delivery', value }));
  }

  #newId(): string {
    const { random, clock } = this.modules;
    return newId(random, clock.now());
  }
}

/** Oldest first. */
const inOrder = (notices: Iterable<NoticeRecord>): NoticeRecord[] =>
  [...notices].sort((a, b) => a.dueMs - b.dueMs || (a.id < b.id ? -1 : 1));

function fitting(due: readonly NoticeRecord[]): NoticeRecord[] {
  let bytes = 0;
  const most = due.slice(0, MOST_IN_ONE);
  const end = most.findIndex((notice, i) => {
    bytes += Buffer.byteLength(JSON.stringify(notice.alarm));
    return i > 0 && bytes > MOST_BYTES;
  });
  return end < 0 ? most : most.slice(0, end);
}
