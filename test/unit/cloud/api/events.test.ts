// Events in messages that are not too large, however large the events are; none is lost or told twice.
import { expect } from 'chai';
import { Caller } from '../../../../gen/occmesh/access/v1/access.js';
import {
  type Event,
  ListEventsRequest,
  ListEventsResponse,
  WatchEventsRequest,
  WatchEventsResponse,
} from '../../../../gen/occmesh/events/v1/events.js';
import { EventService } from '../../../../src/cloud/api/event-service.js';
import { MAX_PAGE_BYTES } from '../../../../src/cloud/api/paging.js';
import { TestCloud } from '../inventory/fixture.js';
import { OPERATOR } from './fixture.js';

/** A little more than the message itself: what says where to go on. */
const MOST_BYTES = MAX_PAGE_BYTES + 2_048;

const event = (position: number, bytes: number): Event => ({
  position,
  atMs: 0,
  customerId: '',
  what: {
    $case: 'audit',
    value: { by: 'x'.repeat(bytes), caller: 1, method: '', ids: [], status: 'OK', peer: '' },
  },
});

const eventsOf = (count: number, bytes: number) => Array.from({ length: count }, (_, i) => event(i + 1, bytes));

const SIZES: [what: string, count: number, bytes: number, least: number][] = [
  ['large', 100, 40_000, 4],
  ['small (the control: one message)', 500, 10, 1],
];

for (const [what, count, bytes, least] of SIZES) {
  describe(`cloud: events that are ${what}`, () => {
    const stored = eventsOf(count, bytes);
    const positions = stored.map(({ position }) => position);
    let followers = 0;
    const log = {
      last: count,
      follow: () => {
        followers += 1;
        return {
          [Symbol.dispose]: () => {
            followers -= 1;
          },
        };
      },
      after: async () => undefined,
      read: async () => ({ events: stored, position: count }),
      readBack: async (_: string | undefined, before: number, limit: number) =>
        stored
          .filter(({ position }) => position < before)
          .reverse()
          .slice(0, limit),
    };

    it('are watched in messages that fit', async () => {
      await using cloud = await TestCloud.start();
      const service = new EventService({ inventory: cloud.inventory, events: log });
      const wanted = { caller: Caller.OPERATOR, customerId: undefined, lifetimeMs: 0, name: '' } as const;
      const principal = cloud.inventory.tokens.authenticate((await cloud.inventory.tokens.createApi(wanted)).text);
      const call = { principal, signal: new AbortController().signal };
      const seen: number[] = [];
      let messages = 0;
      const request = WatchEventsRequest.fromPartial({ afterPosition: 0 });
      for await (const message of service.watchEvents(request, call as never)) {
        expect(WatchEventsResponse.encode(message).finish().length).to.be.below(MOST_BYTES);
        expect(followers, 'while it lasts').to.equal(1);
        seen.push(...message.events.map(({ position }) => position));
        expect(message.position).to.equal(seen.at(-1) ?? 0);
        if (message.events.length > 0) messages++;
        if (seen.length >= count) break;
      }
      expect(followers, 'afterwards').to.equal(0);
      expect(seen).to.deep.equal(positions);
      expect(messages).to.be.at.least(least);
      if (least === 1) expect(messages).to.equal(1);
    });

    it('are listed in pages that fit', async () => {
      await using cloud = await TestCloud.start();
      const service = new EventService({ inventory: cloud.inventory, events: log });
      const call = { principal: OPERATOR, signal: new AbortController().signal };
      const seen: number[] = [];
      let pageToken = '';
      do {
        const request = ListEventsRequest.fromPartial({ pageSize: 1_000, pageToken });
        const page = await service.listEvents(request, call as never);
        expect(ListEventsResponse.encode(page).finish().length).to.be.below(MOST_BYTES);
        seen.push(...page.events.map(({ position }) => position));
        pageToken = page.nextPageToken;
      } while (pageToken !== '');
      expect(seen).to.deep.equal([...positions].reverse());
    });
  });
}
