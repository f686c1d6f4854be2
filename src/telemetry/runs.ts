// Columns that repeat: runs, which are pairs (value, length), and numbers of things that stand elsewhere once.
import { malformed } from './fault.js';

/** Collects a column; neighbours that are equal share a pair. */
export class RunWriter {
  readonly #pairs: number[] = [];
  #value = -1;
  #length = 0;

  add(value: number): void {
    if (value === this.#value) {
      this.#length += 1;
      return;
    }
    this.#close();
    this.#value = value;
    this.#length = 1;
  }

  /** The pairs of everything added. The writer must not be used afterwards. */
  finish(): number[] {
    this.#close();
    return this.#pairs;
  }

  #close(): void {
    if (this.#length > 0) this.#pairs.push(this.#value, this.#length);
  }
}

/** How many values the pairs stand for. */
export function lengthOfRuns(pairs: readonly number[]): number {
  let length = 0;
  for (let i = 1; i < pairs.length; i += 2) length += pairs[i] as number;
  return length;
}

/** Reads a column value by value without ever holding it expanded: a pair of a few bytes may claim 2^32 values. */
export class RunReader {
  #at = 0;
  #value = 0;
  #left = 0;

  /** `name` is for messages; a value above `max` is malformed. */
  constructor(
    private readonly name: string,
    private readonly pairs: readonly number[],
    private readonly max: number,
  ) {}

  next(): number {
    if (this.#left === 0) this.#open();
    this.#left -= 1;
    return this.#value;
  }

  /** Throws when the column is longer than what was read of it. */
  end(): void {
    if (this.#left > 0 || this.#at < this.pairs.length) throw malformed(`${this.name} is too long`);
  }

  #open(): void {
    const value = this.pairs[this.#at];
    const length = this.pairs[this.#at + 1];
    if (value === undefined || length === undefined) throw malformed(`${this.name} is too short`);
    if (length === 0) throw malformed(`${this.name} has an empty run`);
    if (value > this.max) throw malformed(`${this.name} has a value of ${value}, more than ${this.max}`);
    this.#at += 2;
    this.#value = value;
    this.#left = length;
  }
}

/** Things that are numbered in the order of their first use, all of them used: so one content has one form. */
export class FirstUse {
  #known = 0;

  /** `name` is for messages. */
  constructor(
    private readonly name: string,
    private readonly count: number,
  ) {}

  /** Throws when it is not there, or another one that has not been used yet comes before it. */
  use(index: number): void {
    if (index < this.#known) return;
    if (index > this.#known || index === this.count) throw malformed(`${this.name} that are not in order of first use`);
    this.#known += 1;
  }

  /** Throws when something has not been used. */
  end(): void {
    if (this.#known < this.count) throw malformed(`${this.name} that nothing uses`);
  }
}
