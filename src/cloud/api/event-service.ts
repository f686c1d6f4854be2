// events.v1.EventService.
import type {
  ListEventsRequest,
  ListEventsResponse,
  WatchEventsRequest,
  WatchEventsResponse,
} from '../../../gen/occmesh/events/v1/events.js';
import { invalid } from '../../contract/status.js';
import type { EventLog } from '../events/event-log.js';
import type { Inventory } from '../inventory/inventory.js';
import { keyOfToken, sizeOf, tokenOf } from './paging.js';
import { type Call, View } from './tenancy.js';

/** Events in one message. */
const AT_ONCE = 200;
const PAGE = { usual: 100, most: 1_000 };

export class EventService {
  constructor(private readonly modules: { inventory: Inventory; events: EventLog }) {}

  readonly watchEvents = async function* (
    this: EventService,
    request: WatchEventsRequest,
    call: Call,
  ): AsyncGenerator<WatchEventsResponse> {
    const { inventory, events: log } = this.modules;
    const view = View.of(inventory, call.principal);
    const customer = view.filter('customer_id', request.customerId);
    let position = request.afterPosition ?? log.last;
    // A cloud that was restored knows fewer: whoever has seen more begins with what comes now.
    if (position > log.last) position = log.last;
    yield { events: [], position };
    for (;;) {
      await log.after(position, call.signal);
      if (call.signal.aborted) return;
      view.requireToken();
      const read = await log.read(customer, position);
      const wanted = read.events.filter(({ what }) => !(request.withoutAudit && what?.$case === 'audit'));
      for (let i = 0; i < wanted.length; i += AT_ONCE) {
        const events = wanted.slice(i, i + AT_ONCE);
        yield { events, position: events.at(-1)?.position ?? position };
      }
      position = read.position;
    }
  }.bind(this);

  readonly listEvents = async (request: ListEventsRequest, call: Call): Promise<ListEventsResponse> => {
    const customer = View.of(this.modules.inventory, call.principal).filter('customer_id', request.customerId);
    const size = sizeOf(request, PAGE);
    const before = Number(keyOfToken(request.pageToken) ?? Number.MAX_SAFE_INTEGER);
    if (!Number.isSafeInteger(before) || before < 0)
      throw invalid('page_token', 'is not one that this service has given out');
    const read = await this.modules.events.readBack(customer, before, size);
    const last = read.at(-1);
    const events = request.auditOnly ? read.filter(({ what }) => what?.$case === 'audit') : read;
    return { events, nextPageToken: last && read.length === size ? tokenOf(String(last.position)) : '' };
  };
}
