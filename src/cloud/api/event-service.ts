// events.v1.EventService.
import {
  Event,
  type ListEventsRequest,
  type ListEventsResponse,
  type WatchEventsRequest,
  type WatchEventsResponse,
} from '../../../gen/occmesh/events/v1/events.js';
import { invalid } from '../../contract/status.js';
import type { EventLog } from '../events/event-log.js';
import type { Inventory } from '../inventory/inventory.js';
import { MessageFiller } from './message-filler.js';
import { nextPage, placeOf, sizeOf } from './paging.js';
import { type Call, View } from './tenancy.js';

const PAGE = { usual: 100, most: 1_000 };

const bytesOf = (event: Event): number => Event.encode(event).finish().length;

export class EventService {
  constructor(
    private readonly modules: {
      inventory: Inventory;
      events: Pick<EventLog, 'last' | 'after' | 'follow' | 'read' | 'readBack'>;
    },
  ) {}

  readonly watchEvents = async function* (
    this: EventService,
    request: WatchEventsRequest,
    call: Call,
  ): AsyncGenerator<WatchEventsResponse> {
    const { inventory, events: log } = this.modules;
    const view = View.of(inventory, call.principal);
    const customer = view.filter('customer_id', request.customerId);
    using _ = log.follow();
    let position = request.afterPosition ?? log.last;
    // A cloud that was restored knows fewer: whoever has seen more begins with what comes now.
    if (position > log.last) position = log.last;
    yield { events: [], position };
    const messages = new MessageFiller(bytesOf);
    for (;;) {
      await log.after(position, call.signal);
      if (call.signal.aborted) return;
      view.requireToken();
      const read = await log.read(customer, position);
      for (const event of read.events) {
        if (request.withoutAudit && event.what?.$case === 'audit') continue;
        const events = messages.add(event);
        if (events) yield { events, position: positionAfter(events) };
      }
      const events = messages.take();
      if (events) yield { events, position: positionAfter(events) };
      position = read.position;
    }
  }.bind(this);

  readonly listEvents = async (request: ListEventsRequest, call: Call): Promise<ListEventsResponse> => {
    const customer = View.of(this.modules.inventory, call.principal).filter('customer_id', request.customerId);
    const size = sizeOf(request, PAGE);
    const before = Number(placeOf(request) ?? Number.MAX_SAFE_INTEGER);
    if (!Number.isSafeInteger(before) || before < 0)
      throw invalid('page_token', 'is not one that this service has given out');
    const read = await this.modules.events.readBack(customer, before, size);
    const fitting = firstMessage(read);
    const last = fitting.at(-1);
    const more = fitting.length < read.length || read.length === size;
    const events = request.auditOnly ? fitting.filter(({ what }) => what?.$case === 'audit') : fitting;
    return { events, nextPageToken: last && more ? nextPage(String(last.position), request) : '' };
  };
}

const positionAfter = (events: readonly Event[]): number => events.at(-1)?.position ?? 0;

/** As many as one message may have. */
function firstMessage(events: readonly Event[]): Event[] {
  const filler = new MessageFiller(bytesOf);
  for (const event of events) {
    const full = filler.add(event);
    if (full) return full;
  }
  return filler.take() ?? [];
}
