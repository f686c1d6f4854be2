// Takes the readings of one range away: in one commit they become summaries, their batch or blocks go, and the ledger says
// that they have expired. Whatever comes between, a reading is in one place or in the other, and counted once.
import { LedgerEntry } from '../../../../gen/occmesh/store/v1/store.js';
import type { SerialByKey } from '../../../kernel/serial.js';
import type { Op, Store } from '../../../storage/store.js';
import type { ReadingTable, SeriesArrays } from '../../../telemetry/columns-decode.js';
import { agesFrom, type HeldRange, keyOfRange, keysOf, openRange, rangeWith } from '../held.js';
import type { HubKey, Ledger } from '../ledger.js';
import { dayOf, newDay, openSummaries, packSummaries, windowsOf } from '../summaries/block.js';
import { byDay } from '../summaries/days.js';
import { summaryKey } from '../summaries/stored.js';

export interface ExpirerModules {
  readonly store: Store;
  readonly ledger: Ledger;
  /** Those of merging, of each hub: both change ranges. */
  readonly turns: SerialByKey;
  /** Called between two pieces of work. */
  readonly pause: () => Promise<void>;
}

/** Days of which summaries are kept: wrong clocks and whoever means harm can name any other. */
export interface Days {
  readonly first: number;
  readonly end: number;
}

export interface Expired {
  readonly range: HeldRange;
  readonly readings: number;
  /** Of them: taken on days of which no summaries are kept. */
  readonly forgotten: number;
}

/** Of one commit. Only a hub that makes up days and metrics comes near; what is beyond has no summary. */
const MOST_SUMMARY_BYTES = 64 * 1_024 ** 2;
/** A LedgerEntry holds no larger number. */
const MOST_READINGS = 2 ** 32 - 1;

export class Expirer {
  constructor(private readonly modules: ExpirerModules) {}

  /**
   * `before`: the range that ends where this one begins, if it has expired; they become one. Undefined when something else
   * has changed the range, or a write has failed meanwhile. Faults: storage.*.
   */
  expire(hub: HubKey, range: HeldRange, before: HeldRange | undefined, days: Days): Promise<Expired | undefined> {
    return this.#change(hub, range, async () => {
      const tables = await openRange(this.modules.store, hub, range);
      if (!tables || tables.length === 0) return undefined;
      await this.modules.pause();
      const { puts, forgotten } = await this.#summarise(hub, tables, days);
      const { ops, whole } = expiredAs(hub, range, before);
      const data = keysOf(hub, range, tables).slice(1);
      return { ops: [...puts, ...data.map((del) => ({ del })), ...ops], whole, forgotten };
    });
  }

  /** Makes one of two ranges that have expired. Otherwise as expire(). */
  join(hub: HubKey, range: HeldRange, before: HeldRange): Promise<Expired | undefined> {
    if (!fits(before, range)) return Promise.resolve({ range, readings: 0, forgotten: 0 });
    return this.#change(hub, range, async () => ({ ...expiredAs(hub, range, before), forgotten: 0 }));
  }

  /** The range has readings from the future: from `now` on, it ages all the same. Otherwise as expire(). */
  age(hub: HubKey, range: HeldRange, now: number): Promise<Expired | undefined> {
    return this.#change(hub, range, async () => {
      const whole = rangeWith(range, { ...range.entry, agesFromMs: now });
      return {
        ops: [{ put: keyOfRange(hub, 'ledger', range.log, range.first), value: whole.record }],
        whole,
        forgotten: 0,
      };
    });
  }

  #change(
    hub: HubKey,
    range: HeldRange,
    plan: () => Promise<{ ops: Op[]; whole: HeldRange; forgotten: number } | undefined>,
  ): Promise<Expired | undefined> {
    const { store, ledger, turns } = this.modules;
    return turns.run(hub.machine.toString('hex'), async () => {
      let reset = false;
      const forget = store.onReset(async () => {
        reset = true;
      });
      try {
        const record = await store.get(keyOfRange(hub, 'ledger', range.log, range.first));
        const planned = record?.equals(range.record) ? await plan() : undefined;
        if (!planned) return undefined;
        let written = false;
        const build = () => {
          // What a failed write took back may be among what was read.
          if (reset) return undefined;
          written = true;
          return planned.ops;
        };
        await ledger.gate.move(hub.machine, () => store.commit(build));
        if (!written) return undefined;
        const { whole, forgotten } = planned;
        const { flushCount, readingCount } = range.entry;
        const isNew = whole.entry.expired && !range.entry.expired;
        if (isNew) await ledger.expired(hub, range.log, { first: range.first, count: flushCount });
        return { range: whole, readings: isNew ? readingCount : 0, forgotten };
      } finally {
        forget();
      }
    });
  }

  /** The summaries of these readings, added to what is there of their days. */
  async #summarise(
    hub: HubKey,
    tables: readonly ReadingTable[],
    days: Days,
  ): Promise<{ puts: Op[]; forgotten: number }> {
    const { store, pause } = this.modules;
    const puts: Op[] = [];
    let [forgotten, bytes] = [0, 0];
    for (const [sensor, series] of bySensor(tables)) {
      for (const [day, parts] of byDay(series)) {
        if (day < days.first || day >= days.end || bytes > MOST_SUMMARY_BYTES) {
          forgotten += parts.reduce((sum, { takenAt }) => sum + takenAt.length, 0);
          continue;
        }
        const key = summaryKey(hub, sensor, day);
        const before = await store.get(key);
        const sums = newDay(day);
        if (before) sums.merge(openSummaries(before, sensor, day), windowsOf(day));
        for (const part of parts) sums.add(part);
        for (const all of sums.sensors) {
          const value = packSummaries(all, day);
          puts.push({ put: key, value });
          bytes += value.length;
        }
        await pause();
      }
    }
    return { puts, forgotten };
  }
}

/** From the days that have not been summarised for too long to those that no clock will be wrong by. */
export const daysKept = (now: number, summaries: number): Days => ({
  first: Math.max(0, dayOf(now - summaries)),
  end: dayOf(now + summaries) + 1,
});

function bySensor(tables: readonly ReadingTable[]): Map<number, SeriesArrays[]> {
  const sensors = new Map<number, SeriesArrays[]>();
  for (const series of tables.flatMap((table) => table.series())) {
    const others = sensors.get(series.sensor);
    if (others) others.push(series);
    else sensors.set(series.sensor, [series]);
  }
  return sensors;
}

const fits = (before: HeldRange, { entry }: HeldRange): boolean =>
  before.entry.readingCount + entry.readingCount <= MOST_READINGS;

/** The entry that takes the place of the range's own, and of the one before it where there is one. */
function expiredAs(hub: HubKey, range: HeldRange, before: HeldRange | undefined): { ops: Op[]; whole: HeldRange } {
  const joined = before && fits(before, range) ? before : undefined;
  const { log, end, first } = range;
  const entries = joined ? [joined.entry, range.entry] : [range.entry];
  const sum = (of: (entry: LedgerEntry) => number) => entries.reduce((total, entry) => total + of(entry), 0);
  const entry = LedgerEntry.fromPartial({
    flushCount: sum(({ flushCount }) => flushCount),
    readingCount: sum(({ readingCount }) => readingCount),
    chain: range.entry.chain,
    earliestMs: Math.min(...entries.map(({ earliestMs }) => earliestMs)),
    latestMs: Math.max(...entries.map(({ latestMs }) => latestMs)),
    agesFromMs: agesFrom(entries),
    settled: true,
    expired: true,
  });
  const whole = rangeWith({ log, end, first: joined?.first ?? first }, entry);
  const ops: Op[] = joined ? [{ del: keyOfRange(hub, 'ledger', log, first) }] : [];
  return { ops: [...ops, { put: keyOfRange(hub, 'ledger', log, whole.first), value: whole.record }], whole };
}
