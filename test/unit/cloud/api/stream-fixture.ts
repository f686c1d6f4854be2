// Readings and watched events on a test cloud: what stands beside the services of fixture.ts.
import { EventServiceService } from '../../../../gen/occmesh/events/v1/events.js';
import { ReadingServiceService } from '../../../../gen/occmesh/readings/v1/readings.js';
import { EventService } from '../../../../src/cloud/api/event-service.js';
import { ReadingService } from '../../../../src/cloud/api/reading-service.js';
import { LatestReadings } from '../../../../src/cloud/telemetry/latest.js';
import { Ledger } from '../../../../src/cloud/telemetry/ledger.js';
import { Watchers } from '../../../../src/cloud/telemetry/watch.js';
import type { Principal } from '../../../../src/contract/callers.js';
import { systemRandom } from '../../../../src/kernel/random.js';
import { SILENT, type TestApi } from './fixture.js';

const { watchEvents } = EventServiceService;
export const STREAM_DEFINITIONS = { ...ReadingServiceService, watchEvents };
export type StreamRpc = keyof typeof STREAM_DEFINITIONS;

type Run = (request: unknown, call: object) => Promise<unknown> | AsyncGenerator<unknown>;

/** Calls as the edge does, and settles with the first answer. */
export function firstAnswers({ cloud, monitoring }: TestApi) {
  const { store, inventory, clock } = cloud;
  const watching = { latest: new LatestReadings(), ledger: new Ledger(store), watchers: new Watchers(store, 8) };
  const presence = { of: () => SILENT };
  const readings = new ReadingService({ inventory, store, clock, random: systemRandom, presence, ...watching });
  const events = new EventService({ inventory, events: monitoring.events });
  return async (rpc: StreamRpc, principal: Principal, request: object): Promise<unknown> => {
    const definition = STREAM_DEFINITIONS[rpc];
    const complete = { ...definition.requestDeserialize(Buffer.alloc(0)), ...request };
    const received = definition.requestDeserialize(definition.requestSerialize(complete as never));
    const end = new AbortController();
    const service = rpc === 'watchEvents' ? events : readings;
    const answer = (Reflect.get(service, rpc) as Run).call(service, received, { principal, signal: end.signal });
    try {
      return answer instanceof Promise ? await answer : await answer.next();
    } finally {
      end.abort();
      if (!(answer instanceof Promise)) await answer.return(undefined);
    }
  };
}
