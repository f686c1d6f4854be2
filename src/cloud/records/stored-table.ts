// A table of JSON records with what is needed to read it back: its place in the store, and the schema of its records.
import type { z } from 'zod';
import { describe } from '../../kernel/fault.js';
import type { TableName } from '../tables.js';
import { InventoryFault } from './faults.js';
import { type Shape, Table } from './table.js';

const encode = (record: object): Buffer => Buffer.from(JSON.stringify(record));

/** A record that cannot be read back. */
export function damaged(what: string, cause: unknown): InventoryFault {
  return new InventoryFault('inventory.damaged', `${what} cannot be read (${describe(cause)})`, {
    cause,
    permanent: true,
    advice: 'If a newer program has written this store, run that one; otherwise restore a backup.',
  });
}

/** A table with what is needed to read it back. */
export class StoredTable<R extends object> extends Table<R> {
  constructor(
    readonly name: TableName,
    readonly schema: z.ZodType<R>,
    shape: Omit<Shape<R>, 'encode'>,
  ) {
    super({ ...shape, encode });
  }

  /** Replaces everything by these rows, as they stand in the store. Faults: inventory.damaged. */
  fill(rows: readonly unknown[]): void {
    this.load(
      rows.map((row) => {
        const result = this.schema.safeParse(row);
        if (!result.success) throw damaged(`a record of table ${this.name}`, result.error);
        return result.data;
      }),
    );
  }
}
