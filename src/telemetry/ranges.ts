// Sets of flush numbers as ascending, disjoint ranges: what a hub still owes and what the cloud holds of a log. A log of
// millions of flushes is one range as long as it has no holes, so every operation costs ranges, never flushes.
import type { FlushRange } from '../../gen/occmesh/telemetry/v1/telemetry.js';

/** What may be asked of a set by whoever does not own it. */
export interface ReadonlyRangeSet {
  /** How many flushes are in the set. */
  readonly size: number;
  /** How many ranges it takes to say so. */
  readonly rangeCount: number;
  /** The lowest flush; undefined when empty. */
  readonly first: number | undefined;
  /** One more than the highest flush; 0 when empty. */
  readonly end: number;
  has(flush: number): boolean;
  /** Whether every flush of `range` is in the set. */
  contains(range: FlushRange): boolean;
  /** Ranges in ascending order; neither overlapping nor touching each other. */
  ranges(): IterableIterator<FlushRange>;
  /** The flushes one by one, ascending. */
  flushes(): IterableIterator<number>;
  union(other: ReadonlyRangeSet): RangeSet;
  subtract(other: ReadonlyRangeSet): RangeSet;
  intersect(other: ReadonlyRangeSet): RangeSet;
  /** The part inside first … first+count-1. */
  within(range: FlushRange): RangeSet;
  equals(other: ReadonlyRangeSet): boolean;
  clone(): RangeSet;
  toProto(): FlushRange[];
}

export class RangeSet implements ReadonlyRangeSet {
  // Two arrays in step: range i is starts[i] … ends[i]-1, and ends[i] < starts[i+1].
  #starts: number[] = [];
  #ends: number[] = [];
  #size = 0;

  /** Flushes `first` … `end`-1; empty when there are none. */
  static span(first: number, end: number): RangeSet {
    const set = new RangeSet();
    if (end > first) set.add({ first, count: end - first });
    return set;
  }

  /** In any order, overlaps allowed. Throws RangeError for an empty range or one beyond 2^53, as add does. */
  static from(ranges: Iterable<FlushRange>): RangeSet {
    const set = new RangeSet();
    for (const range of ranges) set.add(range);
    return set;
  }

  get size(): number {
    return this.#size;
  }

  get rangeCount(): number {
    return this.#starts.length;
  }

  get first(): number | undefined {
    return this.#starts[0];
  }

  get end(): number {
    return this.#ends.at(-1) ?? 0;
  }

  /** Throws RangeError when `range` is empty, negative, fractional or beyond 2^53. */
  add(range: FlushRange): void {
    const end = endOf(range);
    // Everything that overlaps or touches the new range melts into it.
    const from = this.#firstEndingAtOrAfter(range.first);
    let to = from;
    let [low, high, melted] = [range.first, end, 0];
    for (; to < this.#starts.length && at(this.#starts, to) <= end; to++) {
      low = Math.min(low, at(this.#starts, to));
      high = Math.max(high, at(this.#ends, to));
      melted += at(this.#ends, to) - at(this.#starts, to);
    }
    if (this.#size === 0) {
      // Most sets have one range for ever, and there are very many: an array that grows gets room for 17.
      this.#starts = [low];
      this.#ends = [high];
    } else {
      this.#starts.splice(from, to - from, low);
      this.#ends.splice(from, to - from, high);
    }
    this.#size += high - low - melted;
  }

  /** Throws RangeError as add does. What is not in the set is ignored. */
  remove(range: FlushRange): void {
    const end = endOf(range);
    const from = this.#firstEndingAtOrAfter(range.first + 1);
    const starts: number[] = [];
    const ends: number[] = [];
    let to = from;
    for (; to < this.#starts.length && at(this.#starts, to) < end; to++) {
      const [low, high] = [at(this.#starts, to), at(this.#ends, to)];
      this.#size -= Math.min(high, end) - Math.max(low, range.first);
      if (low < range.first) {
        starts.push(low);
        ends.push(range.first);
      }
      if (high > end) {
        starts.push(end);
        ends.push(high);
      }
    }
    this.#starts.splice(from, to - from, ...starts);
    this.#ends.splice(from, to - from, ...ends);
  }

  addAll(other: ReadonlyRangeSet): void {
    for (const range of other.ranges()) this.add(range);
  }

  removeAll(other: ReadonlyRangeSet): void {
    for (const range of other.ranges()) this.remove(range);
  }

  has(flush: number): boolean {
    const index = this.#firstEndingAtOrAfter(flush + 1);
    return index < this.#starts.length && at(this.#starts, index) <= flush;
  }

  contains(range: FlushRange): boolean {
    const index = this.#firstEndingAtOrAfter(range.first + 1);
    return (
      index < this.#starts.length && at(this.#starts, index) <= range.first && at(this.#ends, index) >= endOf(range)
    );
  }

  *ranges(): IterableIterator<FlushRange> {
    for (let i = 0; i < this.#starts.length; i++) {
      const first = at(this.#starts, i);
      yield { first, count: at(this.#ends, i) - first };
    }
  }

  *flushes(): IterableIterator<number> {
    for (const { first, count } of this.ranges()) for (let i = 0; i < count; i++) yield first + i;
  }

  union(other: ReadonlyRangeSet): RangeSet {
    const result = this.clone();
    result.addAll(other);
    return result;
  }

  subtract(other: ReadonlyRangeSet): RangeSet {
    const result = this.clone();
    result.removeAll(other);
    return result;
  }

  intersect(other: ReadonlyRangeSet): RangeSet {
    const result = new RangeSet();
    for (const range of other.ranges()) for (const part of this.#overlaps(range)) result.add(part);
    return result;
  }

  within(range: FlushRange): RangeSet {
    const result = new RangeSet();
    for (const part of this.#overlaps(range)) result.add(part);
    return result;
  }

  equals(other: ReadonlyRangeSet): boolean {
    if (this.size !== other.size || this.rangeCount !== other.rangeCount) return false;
    for (const range of other.ranges()) if (!this.contains(range)) return false;
    return true;
  }

  clone(): RangeSet {
    const copy = new RangeSet();
    copy.#starts.push(...this.#starts);
    copy.#ends.push(...this.#ends);
    copy.#size = this.#size;
    return copy;
  }

  /** Ascending, as every message carries them. */
  toProto(): FlushRange[] {
    return [...this.ranges()];
  }

  toString(): string {
    return `[${[...this.ranges()].map(({ first, count }) => (count === 1 ? `${first}` : `${first}…${first + count - 1}`)).join(', ')}]`;
  }

  *#overlaps(range: FlushRange): IterableIterator<FlushRange> {
    const end = endOf(range);
    for (let i = this.#firstEndingAtOrAfter(range.first + 1); i < this.#starts.length; i++) {
      const first = Math.max(at(this.#starts, i), range.first);
      if (first >= end) return;
      yield { first, count: Math.min(at(this.#ends, i), end) - first };
    }
  }

  /** Index of the first range whose end is `position` or higher. */
  #firstEndingAtOrAfter(position: number): number {
    let [low, high] = [0, this.#ends.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (at(this.#ends, middle) < position) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function endOf({ first, count }: FlushRange): number {
  const end = first + count;
  if (!Number.isSafeInteger(first) || !Number.isSafeInteger(end) || first < 0 || count < 1) {
    throw new RangeError(`not a range of flushes: first ${first}, count ${count}`);
  }
  return end;
}

/** The element that the caller knows to be there. */
function at(array: readonly number[], index: number): number {
  return array[index] as number;
}
