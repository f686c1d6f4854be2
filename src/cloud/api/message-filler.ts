// Divides what a stream tells into messages: as much in each as a message may have.
import { MAX_PAGE_BYTES } from './paging.js';

const MOST_ITEMS = 1_000;

export class MessageFiller<T> {
  #items: T[] = [];
  #bytes = 0;

  /** `bytesOf`: an item never takes more when it is encoded. */
  constructor(private readonly bytesOf: (item: T) => number) {}

  /** Returns the message that was full before this item. */
  add(item: T): T[] | undefined {
    const bytes = this.bytesOf(item);
    const isFull = this.#items.length === MOST_ITEMS || this.#bytes + bytes > MAX_PAGE_BYTES;
    const full = isFull ? this.take() : undefined;
    this.#items.push(item);
    this.#bytes += bytes;
    return full;
  }

  /** What has been added since the last full message; undefined when that is nothing. */
  take(): T[] | undefined {
    const items = this.#items;
    this.#items = [];
    this.#bytes = 0;
    return items.length > 0 ? items : undefined;
  }
}
