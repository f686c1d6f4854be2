// Whose batch is next. Only so much is verified, unfolded and stored at a time, and a batch of a few hundred bytes may
// unfold to megabytes. What waits meanwhile waits with its own: customers take turns, and each may do as much as any
// other, counted in what batches cost (deficit round robin: Shreedhar and Varghese, SIGCOMM 1995). Among a customer's
// batches LIVE goes before BACKFILL, and hubs take turns. So one customer with a hundred times as much to store as others
// waits for itself, and so does a backlog.

import { Lane } from '../../../gen/occmesh/link/v1/link.js';
import { view } from '../../kernel/bytes.js';
import { RoundRobin } from '../../kernel/round-robin.js';
import type { Afford } from './unfolding.js';

/**
 * Cost of what is under way at the same time (see unfoldingCost()); more than one batch only as far as this goes. Some two
 * hundred batches: with far fewer, a cloud that is busy with ten thousand hubs would wait for its own writes.
 */
const ROOM = 4 * 1024 * 1024;
/** Cost of what a customer may begin before it is the next one's turn. */
const TURN = 64 * 1024;
/** After so many LIVE batches in a row one of BACKFILL goes first: a customer's hubs must not keep its backlog waiting for ever. */
const MOST_LIVE = 15;

/** Whose batch it is. */
export interface Whose {
  readonly customer: Uint8Array;
  readonly machine: Uint8Array;
}

interface Waiting {
  readonly cost: number;
  /** Of the room. What is larger than all there is has it for itself. */
  readonly taken: number;
  readonly begin: () => void;
}

/** What waits of one customer. */
class Customer {
  /** What it may still begin in this turn. */
  allowance = TURN;
  readonly #live = new RoundRobin<string, Waiting>();
  readonly #backfill = new RoundRobin<string, Waiting>();
  #liveInARow = 0;

  push(hub: string, lane: Lane, waiting: Waiting): void {
    (lane === Lane.LIVE ? this.#live : this.#backfill).push(hub, waiting);
  }

  get next(): Waiting | undefined {
    return this.#first.next;
  }

  shift(): void {
    const first = this.#first;
    this.#liveInARow = first === this.#live ? this.#liveInARow + 1 : 0;
    first.shift();
  }

  get #first(): RoundRobin<string, Waiting> {
    if (!this.#live.next) return this.#backfill;
    return this.#backfill.next && this.#liveInARow >= MOST_LIVE ? this.#backfill : this.#live;
  }
}

export class Turns {
  #taken = 0;
  /** Those of whom something waits, in the order of their turns. */
  readonly #customers = new Map<string, Customer>();

  constructor(private readonly room: number = ROOM) {}

  /** Whether anything is under way. */
  get isBusy(): boolean {
    return this.#taken > 0;
  }

  /** Resolves when it is its turn; what it resolves with ends the turn, and must be called once. */
  take({ customer, machine }: Whose, lane: Lane, cost: number): Promise<() => void> {
    const taken = Math.min(cost, this.room);
    return new Promise((resolve) => {
      const begin = () => {
        this.#taken += taken;
        resolve(() => {
          this.#taken -= taken;
          this.#next();
        });
      };
      const name = nameOf(customer);
      const its = this.#customers.get(name) ?? new Customer();
      this.#customers.set(name, its);
      its.push(nameOf(machine), lane, { cost, taken, begin });
      this.#next();
    });
  }

  /**
   * Runs what finds out only on its way what it costs: whenever it asks, its turn is over, and when that is paid for it waits
   * for the next one, which lasts until it asks again or ends.
   */
  async during<R>(whose: Whose, lane: Lane, pay: Afford, run: (afford: Afford) => Promise<R>): Promise<R> {
    let end = nothing;
    const over = () => {
      end();
      end = nothing;
    };
    try {
      return await run(async (cost) => {
        over();
        await pay(cost);
        end = await this.take(whose, lane, cost);
      });
    } finally {
      over();
    }
  }

  #next(): void {
    for (const [name, customer] of this.#customers) {
      for (let { next } = customer; next; next = customer.next) {
        // Not past whoever is next: a large one would wait for ever.
        if (this.#taken > 0 && this.#taken + next.taken > this.room) return;
        if (customer.allowance < next.cost) break;
        customer.allowance -= next.cost;
        customer.shift();
        next.begin();
      }
      // Its turn is over: to the end of the line, if it is in it still. What it has not used, it keeps for a large one only.
      this.#customers.delete(name);
      if (!customer.next) continue;
      customer.allowance += TURN;
      this.#customers.set(name, customer);
    }
  }
}

const nothing = (): void => undefined;

const nameOf = (id: Uint8Array): string => view(id).toString('latin1');
