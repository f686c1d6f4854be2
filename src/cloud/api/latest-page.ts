// Pages of latest readings: by hub, then sensor. Where a page ended is where the next one goes on, whatever has been
// added, removed or measured in between. Whoever shows them asks for the same readings again and again: each is encoded
// once, when it is first asked for.
import { type GetLatestRequest, GetLatestResponse, Reading } from '../../../gen/occmesh/readings/v1/readings.js';
import { invalid } from '../../contract/status.js';
import type { MachineRecord } from '../inventory/records.js';
import type { PlacedReading } from '../telemetry/latest.js';
import { MAX_PAGE_BYTES, nextPage, placeOf, sizeOf } from './paging.js';
import { readMask } from './read-mask.js';
import { EncodedReadings, toProto } from './reading-message.js';
import { type HubSeries, hasSensor } from './series.js';

const SIZES = { usual: 1_000, most: 10_000 };

/** Where a page ended. */
interface Place {
  readonly machine: string;
  readonly sensor: number;
}

export class LatestPages {
  readonly #encoded = new EncodedReadings();

  /** `latestOf` gives what a hub has, by sensor. */
  constructor(private readonly latestOf: (hub: MachineRecord) => readonly PlacedReading[]) {}

  /** A serialised GetLatestResponse; `hubs` in the order of their machines' ids. Faults: api.invalid. */
  page(hubs: readonly HubSeries[], request: GetLatestRequest): Uint8Array {
    const mask = readMask('occmesh.readings.v1.Reading', Reading, request.readMask);
    const size = sizeOf(request, SIZES);
    const after = readingAt(placeOf(request));
    const parts: Uint8Array[] = [];
    let bytes = 0;
    let last: Place = { machine: '', sensor: 0 };
    for (const series of hubs) {
      const hub = series.machine;
      if (after && hub.id < after.machine) continue;
      for (const placed of this.latestOf(hub)) {
        const { sensor } = placed.reading;
        if (!hasSensor(series, sensor)) continue;
        if (after && hub.id === after.machine && sensor <= after.sensor) continue;
        const part = mask
          ? encode({ readings: [mask(toProto(hub.id, placed))], nextPageToken: '' })
          : this.#encoded.of(hub.id, placed);
        bytes += part.length;
        if (parts.length === size || (parts.length > 0 && bytes > MAX_PAGE_BYTES)) {
          return Buffer.concat([
            ...parts,
            encode({ readings: [], nextPageToken: nextPage(`${last.machine}/${last.sensor}`, request) }),
          ]);
        }
        parts.push(part);
        last = { machine: hub.id, sensor };
      }
    }
    return Buffer.concat(parts);
  }
}

const encode = (response: GetLatestResponse): Uint8Array => GetLatestResponse.encode(response).finish();

function readingAt(key: string | undefined): Place | undefined {
  if (key === undefined) return undefined;
  const [, machine, sensor] = /^([^/]+)\/(\d{1,10})$/.exec(key) ?? [];
  if (machine === undefined) throw invalid('page_token', 'is not one of this list');
  return { machine, sensor: Number(sensor) };
}
