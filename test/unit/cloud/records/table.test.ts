// A table's aliases while writes are on their way: what a transaction finds by a name is what has it then.
import { expect } from 'chai';
import { type Pending, Table } from '../../../../src/cloud/records/table.js';

interface Thing {
  readonly id: string;
  readonly name?: string;
}

const shape = {
  idOf: ({ id }: Thing) => id,
  groupOf: () => '',
  aliasesOf: ({ name }: Thing) => (name === undefined ? [] : [name]),
  keyOf: ({ id }: Thing) => Buffer.from(id),
  encode: () => Buffer.alloc(0),
};

function transact(table: Table<Thing>, body: () => void): Pending {
  table.begin();
  body();
  return table.seal();
}

describe('cloud: tables', () => {
  it('does not find by a name what has lost it in a write that is on its way', () => {
    const table = new Table(shape);
    table.load([{ id: 'a', name: 'x' }]);
    const lost = transact(table, () => table.put({ id: 'a' }));
    const taken = transact(table, () => {
      expect(table.latestByAlias('x')).to.equal(undefined);
      table.put({ id: 'b', name: 'x' });
      expect(table.latestByAlias('x')?.id).to.equal('b');
    });
    expect(table.byAlias('x')?.id, 'what is durable').to.equal('a');
    lost.settle()();
    taken.settle()();
    expect(table.byAlias('x')?.id).to.equal('b');
    transact(table, () => table.remove('b')).settle()();
    expect(table.byAlias('x')).to.equal(undefined);
  });

  it('finds it again when that write fails (the control)', () => {
    const table = new Table(shape);
    table.load([{ id: 'a', name: 'x' }]);
    transact(table, () => table.put({ id: 'a' })).drop();
    transact(table, () => expect(table.latestByAlias('x')?.id).to.equal('a'));
  });

  it('keeps a name that has passed to another within one transaction', () => {
    const table = new Table(shape);
    table.load([{ id: 'a', name: 'x' }]);
    const passed = transact(table, () => {
      table.put({ id: 'b', name: 'x' });
      table.put({ id: 'a' });
      expect(table.latestByAlias('x')?.id).to.equal('b');
    });
    passed.settle()();
    expect(table.byAlias('x')?.id).to.equal('b');
  });
});
