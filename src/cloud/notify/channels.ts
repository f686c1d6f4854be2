// The channels there are: made, listed and removed.
import { newId } from '../../identity/uuid.js';
import type { Clock } from '../../kernel/clock.js';
import type { Random } from '../../kernel/random.js';
import type { ChannelRecord } from '../alarms/records.js';
import type { AlarmTables } from '../alarms/tables.js';
import { MOST } from '../quotas.js';
import { InventoryFault, notFound } from '../records/faults.js';
import type { Journal } from '../records/journal.js';

export type NewChannel = Omit<ChannelRecord, 'v' | 'id' | 'lastError'>;

export class Channels {
  readonly #tables: AlarmTables;

  constructor(private readonly modules: { journal: Journal<AlarmTables>; clock: Clock; random: Random }) {
    this.#tables = modules.journal.tables;
  }

  get(id: string): ChannelRecord | undefined {
    return this.#tables.channels.get(id);
  }

  /** Of one customer; undefined: all, also those for alarms of all customers. */
  list(customerId: string | undefined): Iterable<ChannelRecord> {
    return customerId === undefined ? this.#tables.channels.all() : this.#tables.channels.group(customerId);
  }

  /** Notices that are still to be told. */
  waiting(id: string): number {
    return this.#tables.notices.groupSize(id);
  }

  /** Faults: inventory.exists (name), inventory.exhausted. */
  create(channel: NewChannel): Promise<ChannelRecord> {
    const { journal, clock, random } = this.modules;
    return journal.change(() => {
      const { channels } = this.#tables;
      const others = [...channels.latestGroup(channel.customerId ?? '')];
      if (others.some(({ name }) => name === channel.name)) {
        const message = `there is a channel named ${JSON.stringify(channel.name)} already`;
        throw new InventoryFault('inventory.exists', message, { permanent: true, advice: 'Give it another name.' });
      }
      if (others.length >= MOST.channels) {
        const message = `there are ${MOST.channels} channels already, and more are not possible`;
        throw new InventoryFault('inventory.exhausted', message, { permanent: true, advice: 'Remove one.' });
      }
      return channels.put({ v: 1, id: newId(random, clock.now()), ...channel });
    });
  }

  /** With what waits for it. Faults: inventory.not-found. */
  remove(id: string): Promise<void> {
    return this.modules.journal.change(() => {
      if (!this.#tables.channels.latest(id)) throw notFound('channel');
      this.#tables.channels.remove(id);
      for (const notice of [...this.#tables.notices.latestGroup(id)]) this.#tables.notices.remove(notice.id);
    });
  }
}
