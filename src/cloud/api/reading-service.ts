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
  WatchReadingsResponse,
} from '../../../gen/occmesh/readings/v1/readings.js';
import { ApiFault } from '../../contract/fault.js';
import { uuidBytes, uuidText } from '../../identity/uuid.js';
import type { Store } from '../../storage/store.js';
import { RangeSet } from '../../telemetry/ranges.js';
import type { Inventory } from '../inventory/inventory.js';
import type { MachineRecord } from '../inventory/records.js';
import { Aggregation } from '../telemetry/aggregate.js';
import type { LatestReadings } from '../telemetry/latest.js';
import type { HubKey, Ledger, LogState } from '../telemetry/ledger.js';
import { queryReadings, querySeries } from '../telemetry/query.js';
import type { Watchers } from '../telemetry/watch.js';
import { LatestPages } from './latest-page.js';
import { MessageFiller } from './message-filler.js';
import { page } from './paging.js';
import { bucketsToProto, requireBuckets } from './reading-buckets.js';
import { mostBytesOf, toProto } from './reading-message.js';
import { type Call, View } from './tenancy.js';

export interface ReadingServiceModules {
  readonly inventory: Inventory;
  readonly store: Store;
  readonly ledger: Ledger;
  readonly latest: LatestReadings;
  readonly watchers: Watchers;
}

export class ReadingService {
  readonly #latest: LatestPages;

  constructor(private readonly modules: ReadingServiceModules) {
    this.#latest = new LatestPages((machine) => modules.latest.of(keyOf(machine)));
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
    const machine = view.machine('machine_id', request.machineId);
    const until = request.untilMs === 0 ? Number.POSITIVE_INFINITY : request.untilMs;
    if (until <= request.fromMs) throw new ApiFault('api.invalid', 'must be after from_ms', { field: 'until_ms' });
    const query = { sensor: request.sensor, from: request.fromMs, until };
    const messages = new MessageFiller(mostBytesOf);
    for await (const found of queryReadings(this.modules.store, keyOf(machine), query)) {
      call.signal.throwIfAborted();
      view.requireToken();
      for (const placed of found) {
        const readings = messages.add(toProto(machine.id, placed));
        if (readings) yield { readings };
      }
    }
    const readings = messages.take();
    if (readings) yield { readings };
  }.bind(this);

  readonly aggregateReadings = async function* (
    this: ReadingService,
    request: AggregateReadingsRequest,
    call: Call,
  ): AsyncGenerator<AggregateReadingsResponse> {
    const view = View.of(this.modules.inventory, call.principal);
    const machine = view.machine('machine_id', request.machineId);
    const buckets = requireBuckets(request);
    const sums = new Aggregation(buckets);
    const query = { sensor: request.sensor, ...buckets };
    for await (const some of querySeries(this.modules.store, keyOf(machine), query)) {
      call.signal.throwIfAborted();
      view.requireToken();
      for (const series of some) sums.add(series);
    }
    for (const sensor of sums.sensors) yield* bucketsToProto(sensor);
  }.bind(this);

  readonly watchReadings = async function* (
    this: ReadingService,
    request: WatchReadingsRequest,
    call: Call,
  ): AsyncGenerator<WatchReadingsResponse> {
    const view = View.of(this.modules.inventory, call.principal);
    const customer = view.filter('customer_id', request.customerId);
    const machine = request.machineId === '' ? undefined : view.machine('machine_id', request.machineId);
    const filter = {
      ...(customer === undefined ? {} : { customer: uuidBytes(customer) }),
      ...(machine === undefined ? {} : { machine: uuidBytes(machine.id) }),
    };
    const messages = new MessageFiller(mostBytesOf);
    for await (const stored of this.modules.watchers.watch(filter, call.signal)) {
      if (stored === 'overrun') {
        throw new ApiFault('api.exhausted', 'too far behind: read faster, or watch less', {
          advice: 'Query what was missed.',
        });
      }
      view.requireToken();
      for (const watched of stored) {
        const readings = messages.add(toProto(uuidText(watched.hub.machine), watched));
        if (readings) yield { readings };
      }
      const readings = messages.take();
      if (readings) yield { readings };
    }
  }.bind(this);

  readonly getLedger = async (request: GetLedgerRequest, call: Call): Promise<GetLedgerResponse> => {
    const view = View.of(this.modules.inventory, call.principal);
    const machine = view.machine('machine_id', request.machineId);
    const ledger = await this.modules.ledger.of(keyOf(machine));
    const logs = ledger.all().map(([name, state]) => ({ name, ledger: ledgerOf(state) }));
    const { items, nextPageToken } = page(logs, ({ name }) => name, request);
    return { logs: items.map((item) => item.ledger), nextPageToken };
  };

  #hubs(view: View, request: { customerId: string; machineId: string }): MachineRecord[] {
    if (request.machineId !== '') return [view.machine('machine_id', request.machineId)];
    const { machines } = this.modules.inventory;
    const customer = view.filter('customer_id', request.customerId);
    return [...(customer === undefined ? machines.all() : machines.ofCustomer(customer))]
      .filter((machine) => machine.role === 'hub')
      .sort((a, b) => (a.id < b.id ? -1 : 1));
  }
}

const keyOf = (machine: MachineRecord): HubKey => ({
  customer: uuidBytes(machine.customerId),
  machine: uuidBytes(machine.id),
});

export function ledgerOf(state: LogState): LogLedger {
  const lost: LostRange[] = [];
  const told = new RangeSet();
  // Where several gaps speak of the same flushes, the first one recorded counts.
  for (const gap of state.gaps) {
    const range = RangeSet.from([gap]).subtract(state.held.within(gap)).subtract(told.within(gap));
    for (const part of range.toProto()) {
      const whole = part.count === gap.count;
      lost.push({
        range: part,
        reason: gap.reason,
        witness: gap.witness,
        noticedAtMs: gap.noticedAtMs,
        readingCount: whole ? gap.readingCount : 0,
      });
    }
    told.addAll(range);
  }
  return {
    log: state.id,
    held: state.held.toProto(),
    readingCount: state.readings,
    announcedNext: state.announced,
    lost,
  };
}
