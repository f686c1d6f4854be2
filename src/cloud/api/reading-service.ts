// readings.v1.ReadingService: latest values, ranges, buckets of them, what is being stored, and the ledger.
import type {
  AggregateReadingsRequest,
  AggregateReadingsResponse,
  GetLatestRequest,
  GetLedgerRequest,
  GetLedgerResponse,
  LogLedger,
  LostRange,
  QueryReadingsRequest,
  QueryReadingsResponse,
  WatchReadingsRequest,
} from '../../../gen/occmesh/readings/v1/readings.js';
import { ApiFault } from '../../contract/fault.js';
import { Places } from '../../kernel/places.js';
import type { Store } from '../../storage/store.js';
import { sumUp } from '../telemetry/history.js';
import type { LatestReadings } from '../telemetry/latest.js';
import { hubKeyOf, type Ledger, type LogState } from '../telemetry/ledger.js';
import { lostIn } from '../telemetry/missing.js';
import { queryReadings } from '../telemetry/query.js';
import { LatestPages } from './latest-page.js';
import { MessageFiller } from './message-filler.js';
import { page } from './paging.js';
import type { Presence } from './ports.js';
import { bucketsToProto, requireBuckets } from './reading-buckets.js';
import { mostBytesOf, toProto } from './reading-message.js';
import { missingSpans } from './reading-missing.js';
import { ReadingWatch, type ReadingWatchModules } from './reading-watch.js';
import { type HubSeries, hasSensor, onlySensor, seriesNamed, seriesOf } from './series.js';
import { type Call, View } from './tenancy.js';

/** Sensors of one query. */
const MOST_SERIES = 100;
const MOST_LATEST = 1_000;
/** Sums that a customer, or who sees all, may have at once: each takes 12 MB until its reader has got it. */
const MOST_SUMMED = 4;

export interface ReadingServiceModules extends ReadingWatchModules {
  readonly store: Store;
  readonly ledger: Ledger;
  readonly latest: LatestReadings;
  readonly presence: Presence;
}

export class ReadingService {
  readonly #latest: LatestPages;
  readonly #watch: ReadingWatch;
  readonly #summing = new Places(MOST_SUMMED);

  constructor(private readonly modules: ReadingServiceModules) {
    this.#latest = new LatestPages((machine) => modules.latest.of(hubKeyOf(machine)));
    this.#watch = new ReadingWatch(modules);
  }

  /** A serialised GetLatestResponse. */
  readonly getLatest = async (request: GetLatestRequest, call: Call): Promise<Uint8Array> => {
    const view = View.of(this.modules.inventory, call.principal);
    return this.#latest.page(this.#hubs(view, request), request);
  };

  readonly queryReadings = async function* (
    this: ReadingService,
    request: QueryReadingsRequest,
    call: Call,
  ): AsyncGenerator<QueryReadingsResponse> {
    const view = View.of(this.modules.inventory, call.principal);
    const hubs = seriesOf(view, request, MOST_SERIES);
    const until = request.untilMs === 0 ? Number.POSITIVE_INFINITY : request.untilMs;
    if (until <= request.fromMs) throw new ApiFault('api.invalid', 'must be after from_ms', { field: 'until_ms' });
    const messages = new MessageFiller(mostBytesOf);
    for (const hub of hubs) {
      const query = { sensor: onlySensor(hub), from: request.fromMs, until, signal: call.signal };
      for await (const missing of missingSpans(hub.machine, query, this.modules)) {
        // Before its readings: what arrives in between is told twice rather than not at all.
        const readings = messages.take();
        if (readings) yield { readings, missing: [] };
        yield { readings: [], missing };
      }
      for await (const found of queryReadings(this.modules.store, hubKeyOf(hub.machine), query)) {
        view.requireToken();
        for (const placed of found) {
          if (!hasSensor(hub, placed.reading.sensor)) continue;
          const readings = messages.add(toProto(hub.machine.id, placed));
          if (readings) yield { readings, missing: [] };
        }
      }
    }
    const readings = messages.take();
    if (readings) yield { readings, missing: [] };
  }.bind(this);

  readonly aggregateReadings = async function* (
    this: ReadingService,
    request: AggregateReadingsRequest,
    call: Call,
  ): AsyncGenerator<AggregateReadingsResponse> {
    const view = View.of(this.modules.inventory, call.principal);
    const hubs = seriesOf(view, request, MOST_SERIES);
    const buckets = requireBuckets(request);
    for (const hub of hubs) {
      const { signal } = call;
      for await (const spans of missingSpans(hub.machine, { ...buckets, signal }, this.modules)) {
        yield { machineId: hub.machine.id, sensor: 0, content: { $case: 'missing', value: { spans } } };
      }
      const check = () => view.requireToken();
      const wants = (sensor: number) => hasSensor(hub, sensor);
      const query = { sensor: onlySensor(hub), ...buckets, wants, check, signal };
      const leave = await this.#summing.take(view.account, signal);
      try {
        const sums = await sumUp(this.modules, hubKeyOf(hub.machine), query);
        for (const sensor of sums.sensors) yield* bucketsToProto(hub.machine.id, sensor);
      } finally {
        leave();
      }
    }
  }.bind(this);

  /** Serialised WatchReadingsResponses. */
  readonly watchReadings = (request: WatchReadingsRequest, call: Call): AsyncGenerator<Uint8Array> =>
    this.#watch.watch(request, call);

  readonly getLedger = async (request: GetLedgerRequest, call: Call): Promise<GetLedgerResponse> => {
    const view = View.of(this.modules.inventory, call.principal);
    const machine = view.machine('machine_id', request.machineId);
    const ledger = await this.modules.ledger.of(hubKeyOf(machine));
    const { items, nextPageToken } = page(ledger.all(), ([name]) => name, request);
    return { logs: items.map(([, state]) => ledgerOf(state)), nextPageToken };
  };

  #hubs(view: View, { customerId, machineId, sensorIds }: GetLatestRequest): HubSeries[] {
    if (sensorIds.length > 0) return byId(seriesNamed(view, 'sensor_ids', sensorIds, MOST_LATEST));
    if (machineId !== '') return [{ machine: view.machine('machine_id', machineId) }];
    const { machines } = this.modules.inventory;
    const customer = view.filter('customer_id', customerId);
    const all = [...machines.list(customer)];
    return byId(all.filter(({ role }) => role === 'hub').map((machine) => ({ machine })));
  }
}

const byId = (hubs: HubSeries[]): HubSeries[] => hubs.sort((a, b) => (a.machine.id < b.machine.id ? -1 : 1));

export function ledgerOf(state: LogState): LogLedger {
  const lost = lostIn(state).map(
    ({ gap, flushes: range }): LostRange => ({
      range,
      reason: gap.reason,
      witness: gap.witness,
      noticedAtMs: gap.noticedAtMs,
      readingCount: range.count === gap.count ? gap.readingCount : 0,
    }),
  );
  return {
    log: state.id,
    held: state.held.toProto(),
    readingCount: state.readings,
    announcedNext: state.announced,
    lost,
    expired: state.expired.toProto(),
  };
}
