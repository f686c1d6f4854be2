// readings.v1.ReadingService.WatchReadings: readings as they are stored, each encoded once, however many watch.
import { type WatchReadingsRequest, WatchReadingsResponse } from '../../../gen/occmesh/readings/v1/readings.js';
import { ApiFault } from '../../contract/fault.js';
import { uuidBytes, uuidText } from '../../identity/uuid.js';
import type { Clock } from '../../kernel/clock.js';
import { defined } from '../../kernel/defined.js';
import type { Random } from '../../kernel/random.js';
import type { Inventory } from '../inventory/inventory.js';
import type { Watchers, WatchFilter } from '../telemetry/watch.js';
import { MessageFiller } from './message-filler.js';
import { Positions } from './positions.js';
import { EncodedReadings } from './reading-message.js';
import { seriesNamed } from './series.js';
import { type Call, View } from './tenancy.js';

const MOST_SENSORS = 1_000;

export interface ReadingWatchModules {
  readonly inventory: Inventory;
  readonly watchers: Watchers;
  readonly clock: Clock;
  readonly random: Random;
}

export class ReadingWatch {
  readonly #encoded = new EncodedReadings();
  readonly #positions: Positions;

  constructor(private readonly modules: ReadingWatchModules) {
    this.#positions = new Positions(modules);
  }

  /** Serialised WatchReadingsResponses. */
  async *watch(request: WatchReadingsRequest, call: Call): AsyncGenerator<Uint8Array> {
    const view = View.of(this.modules.inventory, call.principal);
    const filter = filterOf(request, view);
    const { watchers } = this.modules;
    const after = this.#placeOf(request.afterPosition);
    const from = after?.stored ?? watchers.position;
    yield message([], this.#positions.seal(from), after?.missedSinceMs);
    const filler = new MessageFiller<Uint8Array>((part) => part.length);
    for await (const watched of watchers.watch(filter, call.signal, from)) {
      if (watched === 'overrun') {
        throw new ApiFault('api.exhausted', 'too far behind: read faster, or watch less', {
          advice: 'Watch again, after the last position that came.',
        });
      }
      view.requireToken();
      for (const placed of watched.readings) {
        const full = filler.add(this.#encoded.of(uuidText(placed.hub.machine), placed));
        if (full) yield message(full);
      }
      const rest = filler.take() ?? [];
      const position = watched.position === undefined ? undefined : this.#positions.seal(watched.position);
      if (rest.length > 0 || position) yield message(rest, position);
    }
  }

  /** Undefined for what comes from now on. Faults: api.invalid. */
  #placeOf(token: string): { readonly stored: number; readonly missedSinceMs?: number } | undefined {
    const place = this.#positions.open(token);
    if (!place) return undefined;
    const { watchers } = this.modules;
    const { stored, atMs } = place;
    if (stored !== undefined && watchers.remembers(stored)) return { stored };
    return { stored: watchers.position, missedSinceMs: atMs };
  }
}

function filterOf(request: WatchReadingsRequest, view: View): WatchFilter {
  const customer = view.filter('customer_id', request.customerId);
  const machine = request.machineId === '' ? undefined : view.machine('machine_id', request.machineId);
  const hubs = seriesNamed(view, 'sensor_ids', request.sensorIds, MOST_SENSORS);
  const sensors = hubs.map(({ machine: { id }, sensors }) => [uuidBytes(id).toString('hex'), sensors ?? NONE] as const);
  return defined({
    customer: customer === undefined ? undefined : uuidBytes(customer),
    machine: machine && uuidBytes(machine.id),
    sensors: sensors.length === 0 ? undefined : new Map(sensors),
  });
}

const NONE: ReadonlySet<number> = new Set();

function message(parts: readonly Uint8Array[], position = '', missedSinceMs = 0): Uint8Array {
  const rest = WatchReadingsResponse.encode({ readings: [], position, missedSinceMs }).finish();
  return Buffer.concat([...parts, rest]);
}
