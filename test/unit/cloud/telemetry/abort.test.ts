// Queries whose caller is gone read no further.
import { expect } from 'chai';
import { State } from '../../../../gen/occmesh/telemetry/v1/telemetry.js';
import { queryReadings, querySeries } from '../../../../src/cloud/telemetry/query.js';
import { epochMs } from '../../../../src/kernel/duration.js';
import { MemoryStore } from '../../../../src/storage/memory.js';
import type { Entry, Range, Store } from '../../../../src/storage/store.js';
import { ALL_TIME, HUB, TelemetryStore, WrittenLog } from '../../../support/telemetry-store.js';

const FLUSHES = 50;

/** A hub's log in as many batches as it has flushes, and how many entries of the store have been read. */
async function stored(): Promise<{ store: Store; read: () => number; onRead: (listener: () => void) => void }> {
  let read = 0;
  let listener = () => {};
  class Counting extends MemoryStore {
    override async *entries(range: Range): AsyncGenerator<Entry> {
      for await (const entry of super.entries(range)) {
        read += 1;
        listener();
        yield entry;
      }
    }
  }
  const store = new Counting();
  const telemetry = new TelemetryStore(store);
  const reading = { sensor: 1, takenAt: epochMs(1_000), state: State.OK, message: '', values: [] };
  const log = new WrittenLog(Array.from({ length: FLUSHES }, (_, number) => ({ number, readings: [reading] })));
  for (let first = 0; first < FLUSHES; first++) await telemetry.add(log.batch(first, first + 1));
  read = 0;
  const onRead = (next: () => void) => {
    listener = next;
  };
  return { store, read: () => read, onRead };
}

describe('cloud: a query whose caller is gone', () => {
  for (const [name, query] of Object.entries({ queryReadings, querySeries })) {
    // Of the first kind there is something in each batch, of the second nothing that would be handed out.
    for (const from of [0, 2_000]) {
      it(`ends (${name}, ${from === 0 ? 'with' : 'without'} readings)`, async () => {
        const { store, read, onRead } = await stored();
        const abort = new AbortController();
        onRead(() => {
          if (read() === 3) abort.abort(new Error('gone'));
        });
        let failure: unknown;
        try {
          for await (const _ of query(store, HUB, { ...ALL_TIME, from, signal: abort.signal }));
        } catch (thrown) {
          failure = thrown;
        }
        expect(String(failure)).to.equal('Error: gone');
        expect(read()).to.equal(3);
      });

      it(`otherwise reads everything (${name}, negative control)`, async () => {
        const { store, read } = await stored();
        for await (const _ of query(store, HUB, { ...ALL_TIME, from, signal: new AbortController().signal }));
        expect(read()).to.be.at.least(FLUSHES);
      });
    }
  }
});
