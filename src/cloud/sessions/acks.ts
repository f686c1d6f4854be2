// Acknowledgements of one session, gathered over a turn of the event loop: all that one group commit has stored costs
// one signature per log.
import type { Ack } from '../../../gen/occmesh/link/v1/link.js';
import { LazyMap } from '../../kernel/lazy-map.js';
import { RangeSet } from '../../telemetry/ranges.js';
import type { StoredBatch } from '../telemetry/ingest.js';

interface Gathered {
  readonly ranges: RangeSet;
  /** The batch that ends last: its chain is the one that is told. */
  last: StoredBatch;
}

export class AckGatherer {
  readonly #gathered = new LazyMap<string, Gathered>();

  constructor(private readonly send: (ack: Ack) => void) {}

  /** The batch is held, durably. */
  add(batch: StoredBatch): void {
    if (this.#gathered.size === 0) setImmediate(() => this.#flush());
    const name = batch.log.toString('hex');
    const known = this.#gathered.get(name) ?? { ranges: new RangeSet(), last: batch };
    known.ranges.add({ first: batch.first, count: batch.count });
    if (endOf(batch) > endOf(known.last)) known.last = batch;
    this.#gathered.set(name, known);
  }

  #flush(): void {
    const all = [...this.#gathered.values()];
    this.#gathered.clear();
    for (const { ranges, last } of all) {
      this.send({ log: last.log, ranges: ranges.toProto(), chain: last.chain });
    }
  }
}

const endOf = ({ first, count }: StoredBatch): number => first + count;
