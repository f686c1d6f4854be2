// Pages of latest readings: by hub, then sensor. Where a page ended is where the next one goes on, whatever has been
// added, removed or measured in between.
//
// Whoever shows them asks for the same readings again and again: each is encoded once, when it is first asked for, as a
// response of its own. Serialised messages of one type, one after another, are one message with all of their items
// (https://protobuf.dev/programming-guides/encoding/#last-one-wins).
import { GetLatestResponse } from '../../../gen/occmesh/readings/v1/readings.js';
import { invalid } from '../../contract/status.js';
import type { MachineRecord } from '../inventory/records.js';
import type { PlacedReading } from '../telemetry/latest.js';
import { keyOfToken, MAX_PAGE_BYTES, type PageRequest, sizeOf, tokenOf } from './paging.js';
import { toProto } from './reading-message.js';

const SIZES = { usual: 1_000, most: 10_000 };

/** Where a page ended. */
interface Place {
  readonly machine: string;
  readonly sensor: number;
}

export class LatestPages {
  readonly #encoded = new WeakMap<PlacedReading, Uint8Array>();

  /** `latestOf` gives what a hub has, by sensor. */
  constructor(private readonly latestOf: (hub: MachineRecord) => readonly PlacedReading[]) {}

  /** A serialised GetLatestResponse; `hubs` in the order of their ids. Faults: api.invalid. */
  page(hubs: readonly MachineRecord[], request: PageRequest): Uint8Array {
    const size = sizeOf(request, SIZES);
    const after = placeOf(request.pageToken);
    const parts: Uint8Array[] = [];
    let bytes = 0;
    let last: Place = { machine: '', sensor: 0 };
    for (const hub of hubs) {
      if (after && hub.id < after.machine) continue;
      for (const placed of this.latestOf(hub)) {
        const { sensor } = placed.reading;
        if (after && hub.id === after.machine && sensor <= after.sensor) continue;
        const part = this.#encode(hub.id, placed);
        bytes += part.length;
        if (parts.length === size || (parts.length > 0 && bytes > MAX_PAGE_BYTES)) {
          return Buffer.concat([
            ...parts,
            encode({ readings: [], nextPageToken: tokenOf(`${last.machine}/${last.sensor}`) }),
          ]);
        }
        parts.push(part);
        last = { machine: hub.id, sensor };
      }
    }
    return Buffer.concat(parts);
  }

  #encode(machineId: string, placed: PlacedReading): Uint8Array {
    const known = this.#encoded.get(placed);
    if (known) return known;
    const encoded = encode({ readings: [toProto(machineId, placed)], nextPageToken: '' });
    this.#encoded.set(placed, encoded);
    return encoded;
  }
}

const encode = (response: GetLatestResponse): Uint8Array => GetLatestResponse.encode(response).finish();

function placeOf(token: string): Place | undefined {
  const key = keyOfToken(token);
  if (key === undefined) return undefined;
  const [, machine, sensor] = /^([^/]+)\/(\d{1,10})$/.exec(key) ?? [];
  if (machine === undefined) throw invalid('page_token', 'is not one of this list');
  return { machine, sensor: Number(sensor) };
}
