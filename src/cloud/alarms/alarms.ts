// Alarms: what ought to be one (judge.ts) is compared with what is on record, and the difference is written down together
// with its event and with what channels are to be told. It is always the present that is compared, never what led to it: so
// whatever is missed or fails is put right by the next look.
import { newId } from '../../identity/uuid.js';
import type { Clock } from '../../kernel/clock.js';
import { defined } from '../../kernel/defined.js';
import { describe } from '../../kernel/fault.js';
import type { Logger } from '../../kernel/log.js';
import type { Random } from '../../kernel/random.js';
import type { EventLog } from '../events/event-log.js';
import { InventoryFault, notFound } from '../records/faults.js';
import type { Journal } from '../records/journal.js';
import type { Judgement } from './judge.js';
import { alarmToProto } from './messages.js';
import type { AlarmRecord, Remark } from './records.js';
import { type AlarmTables, noticeName, type Subject, subjectName } from './tables.js';
import { joined, noticeFor, sameTrouble, toBeKnown } from './telling.js';

/** What is known of a subject at this moment. */
export interface Opinion {
  readonly customerId: string;
  readonly judgement: Judgement;
  /** In words. */
  readonly message: string;
}

export interface AlarmModules {
  readonly journal: Journal<AlarmTables>;
  readonly events: EventLog;
  /** Asked inside a transaction; undefined for a subject that is not there any more. */
  readonly opinionOn: (subject: Subject) => Opinion | undefined;
  readonly inMaintenance: (machineId: string) => boolean;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

const MAX_COMMENTS = 32;
/** Alarms of one machine and its sensors that are kept. Beyond that closed ones go, the oldest first and some at once. */
export const MOST_KEPT = 2_000;
const LEFT_KEPT = 1_500;
/** Subjects that are settled in one commit, which holds the event loop: the longer, the more channels there are. */
const AT_ONCE = 100;

export class Alarms {
  readonly #tables: AlarmTables;
  readonly #open = new Set<string>();
  readonly #touched = new Map<string, Subject>();
  #settling: Promise<void> | undefined;

  constructor(private readonly modules: AlarmModules) {
    this.#tables = modules.journal.tables;
    this.#tables.alarms.onChange(({ after }) => {
      if (after?.closedAtMs === undefined && after) this.#open.add(after.id);
      else if (after) this.#open.delete(after.id);
    });
  }

  get(id: string): AlarmRecord | undefined {
    return this.#tables.alarms.get(id);
  }

  /** The open alarm about a subject. */
  of(subject: Subject): AlarmRecord | undefined {
    return this.#tables.alarms.byAlias(subjectName(subject));
  }

  all(): Iterable<AlarmRecord> {
    return this.#tables.alarms.all();
  }

  *open(): Iterable<AlarmRecord> {
    for (const id of this.#open) {
      const alarm = this.get(id);
      if (alarm) yield alarm;
    }
  }

  /** Something about it may have changed: it is looked at soon. */
  touch(subject: Subject): void {
    this.#touched.set(subjectName(subject), subject);
    this.#settling ??= this.#settle();
  }

  /** Resolves when everything that was touched has been looked at, or could not be written down. */
  async settled(): Promise<void> {
    await this.#settling;
  }

  /** Called each second: what could not be written is tried again, and a silence or a maintenance may have ended. */
  sweep(): void {
    const now = this.modules.clock.now();
    for (const alarm of this.open()) {
      const known = toBeKnown(alarm, this.modules.inMaintenance(alarm.machineId), now);
      if (!sameTrouble(known, alarm.told)) this.touch(alarm);
    }
    const [next] = this.#touched.values();
    if (next) this.touch(next);
  }

  /**
   * Again, without a comment: changes nothing; with one: what was said before stays as a comment. Faults:
   * inventory.not-found, inventory.unsuitable (it is closed).
   */
  acknowledge(id: string, acknowledgement: Remark): Promise<AlarmRecord> {
    return this.#change(id, (alarm) => {
      const { acknowledgement: before } = requireOpen(alarm);
      if (!before) return { ...alarm, acknowledgement };
      if (acknowledgement.comment === '') return alarm;
      const comments = before.comment === '' ? alarm.comments : remarked(alarm, before);
      return { ...alarm, acknowledgement, comments };
    });
  }

  /** Faults: inventory.not-found. */
  comment(id: string, remark: Remark): Promise<AlarmRecord> {
    return this.#change(id, (alarm) => ({ ...alarm, comments: remarked(alarm, remark) }));
  }

  /** Faults: inventory.not-found, inventory.unsuitable (it is closed). */
  silence(id: string, untilMs: number): Promise<AlarmRecord> {
    return this.#change(id, (alarm) => ({ ...requireOpen(alarm), silencedUntilMs: untilMs }));
  }

  /** Removes closed alarms that are older than `before`. */
  forget(before: number): Promise<void> {
    return this.modules.journal.transact(() => {
      for (const alarm of [...this.#tables.alarms.latestAll()]) {
        if ((alarm.closedAtMs ?? before) < before) this.#tables.alarms.remove(alarm.id);
      }
    });
  }

  async #change(id: string, next: (alarm: AlarmRecord) => AlarmRecord): Promise<AlarmRecord> {
    const changed = await this.modules.journal.change(() => {
      const alarm = this.#tables.alarms.latest(id);
      if (!alarm) throw notFound('alarm');
      return this.#put(alarm, next(alarm));
    });
    this.modules.events.told();
    return changed;
  }

  /** Never rejects. */
  async #settle(): Promise<void> {
    // Whoever touches many touches them in one turn; they share a commit.
    await undefined;
    let couldWrite = true;
    while (couldWrite && this.#touched.size > 0) {
      const batch = [...this.#touched.values()].slice(0, AT_ONCE);
      for (const subject of batch) this.#touched.delete(subjectName(subject));
      try {
        await this.modules.journal.transact(() => {
          for (const subject of batch) this.#compare(subject);
        });
        this.modules.events.told();
      } catch (thrown) {
        this.modules.log.error({ cause: describe(thrown) }, 'alarms could not be written down; tried again');
        for (const subject of batch) this.#touched.set(subjectName(subject), subject);
        couldWrite = false;
      }
    }
    // Not in a later turn: whatever is touched from now on starts anew.
    this.#settling = undefined;
  }

  /** Inside a transaction. */
  #compare(subject: Subject): void {
    const open = this.#tables.alarms.latestByAlias(subjectName(subject));
    const opinion = this.modules.opinionOn(subject);
    const judgement = opinion?.judgement ?? 'none';
    const now = this.modules.clock.now();
    if (judgement === 'keep') {
      if (open) this.#put(open, open);
    } else if (judgement === 'none') {
      if (open) this.#put(open, { ...open, closedAtMs: now, message: opinion?.message || open.message });
    } else if (open) {
      const changed = sameTrouble(open, judgement)
        ? {}
        : { ...judgement, changedAtMs: now, message: opinion?.message ?? '' };
      this.#put(open, { ...open, ...changed });
    } else if (opinion) {
      const { customerId, message } = opinion;
      const id = newId(this.modules.random, now);
      const { machineId, sensor } = subject;
      const about = { customerId, machineId, ...defined({ sensor }) };
      const times = { raisedAtMs: now, changedAtMs: now };
      this.#put(undefined, { v: 1, id, ...about, ...judgement, message, ...times, comments: [] });
      this.#trim(machineId);
    }
  }

  /** Inside a transaction: a machine whose sensors are bad and good again all the time must not fill the memory. */
  #trim(machineId: string): void {
    const { alarms } = this.#tables;
    if (alarms.groupSize(machineId) < MOST_KEPT) return;
    const kept = [...alarms.latestGroup(machineId)];
    if (kept.length <= MOST_KEPT) return;
    const closed = kept.filter(({ closedAtMs }) => closedAtMs !== undefined).sort((a, b) => (a.id < b.id ? -1 : 1));
    for (const { id } of closed.slice(0, kept.length - LEFT_KEPT)) alarms.remove(id);
  }

  /** Inside a transaction: with its event and its notices. */
  #put(before: AlarmRecord | undefined, after: AlarmRecord): AlarmRecord {
    const { journal, events, inMaintenance, clock } = this.modules;
    const muted = inMaintenance(after.machineId);
    const known = toBeKnown(after, muted, clock.now());
    const news = !sameTrouble(known, after.told);
    if (before === after && !news) return after;
    const { told, ...rest } = after;
    const record = { ...rest, ...defined({ told: known }) };
    this.#tables.alarms.put(record);
    if (news) this.#notify(record, told);
    if (before !== after) {
      journal.also(
        events.append(record.customerId, { $case: 'alarm', value: alarmToProto(record, { inMaintenance: muted }) }),
      );
    }
    return record;
  }

  /** Inside a transaction: every channel that should hear of it gets something to tell. */
  #notify(alarm: AlarmRecord, before: AlarmRecord['told']): void {
    const { channels, notices } = this.#tables;
    const now = this.modules.clock.now();
    for (const group of [alarm.customerId, '']) {
      for (const channel of channels.latestGroup(group)) {
        const notice = noticeFor(channel, before, alarm.told);
        if (!notice) continue;
        const waiting = notices.latestByAlias(noticeName(channel.id, alarm.id));
        if (waiting) {
          const told = joined(waiting.notice, notice);
          if (told) notices.put({ ...waiting, notice: told, alarm });
          else notices.remove(waiting.id);
          continue;
        }
        const { id: channelId, customerId } = channel;
        const dueMs = notice === 'raised' ? now + channel.deferMs : now;
        const id = newId(this.modules.random, now);
        notices.put({ v: 1, id, channelId, ...defined({ customerId }), notice, alarm, dueMs });
      }
    }
  }
}

const remarked = ({ comments }: AlarmRecord, remark: Remark): Remark[] => [...comments, remark].slice(-MAX_COMMENTS);

function requireOpen(alarm: AlarmRecord): AlarmRecord {
  if (alarm.closedAtMs === undefined) return alarm;
  throw new InventoryFault('inventory.unsuitable', 'the alarm is closed', { permanent: true });
}
