// Performance data, as plugins really write it.
import { expect } from 'chai';
import fc from 'fast-check';
import { parsePerfdata } from '../../../src/sensors/perfdata.js';
import { testSeed } from '../../support/seeded-random.js';

const short = (text: string) => parsePerfdata(text).map(({ label, value, unit }) => [label, value, unit]);

describe('sensors/perfdata', () => {
  it('reads values with everything around them', () => {
    expect(parsePerfdata('/=2643MB;5948;5958;0;5968')).to.deep.equal([
      { label: '/', value: 2643, unit: 'MB', warning: '5948', critical: '5958', min: 0, max: 5968 },
    ]);
    expect(parsePerfdata('time=0.002s;;@1:2;0')).to.deep.equal([
      { label: 'time', value: 0.002, unit: 's', warning: '', critical: '@1:2', min: 0, max: undefined },
    ]);
  });

  const table: [string, unknown[]][] = [
    [
      'a=1 b=2ms  c=3%',
      [
        ['a', 1, ''],
        ['b', 2, 'ms'],
        ['c', 3, '%'],
      ],
    ],
    ["'C:\\ Label'=80%;90;95", [['C:\\ Label', 80, '%']]],
    [
      "'it''s here'=1 next=2",
      [
        ["it's here", 1, ''],
        ['next', 2, ''],
      ],
    ],
    ["'a=b'=5c", [['a=b', 5, 'c']]],
    [
      'n=-1.5 p=+.5 e=1e3B',
      [
        ['n', -1.5, ''],
        ['p', 0.5, ''],
        ['e', 1000, 'B'],
      ],
    ],
    ['rta=U;1;2 pl=100%', [['pl', 100, '%']]],
    ['load1=0,25;1;2', [['load1', 0.25, '']]],
    [
      'garbage a=1 =5 b= c=x d=2',
      [
        ['a', 1, ''],
        ['d', 2, ''],
      ],
    ],
    [
      "'open a=1 b=2",
      [
        ['a', 1, ''],
        ['b', 2, ''],
      ],
    ],
    ["''=1 'x'5 a=1", [['a', 1, '']]],
    ['a=1;', [['a', 1, '']]],
    ['a=NaN b=inf c=1e999 d=4', [['d', 4, '']]],
    ['', []],
    ['  \n ', []],
    [
      'a=1\nb=2',
      [
        ['a', 1, ''],
        ['b', 2, ''],
      ],
    ],
  ];
  for (const [text, expected] of table)
    it(`reads ${JSON.stringify(text)}`, () => expect(short(text)).to.deep.equal(expected));

  it('survives any text, with finite values only', () => {
    const character = fc.constantFrom("'", '=', ';', ' ', 'a', '1', '.', 'U', '%', '\n');
    const text = fc.string({ unit: character, maxLength: 60 });
    fc.assert(
      fc.property(fc.oneof(text, fc.string()), (any) => {
        expect(parsePerfdata(any).every(({ value }) => Number.isFinite(value))).to.equal(true);
      }),
      { seed: testSeed, numRuns: 500 },
    );
  });

  it('any quoted label comes back', () => {
    const label = fc.string({ minLength: 1, maxLength: 20 }).filter((text) => text.trim() === text);
    fc.assert(
      fc.property(label, (text) => {
        expect(short(`'${text.replaceAll("'", "''")}'=7ms`)).to.deep.equal([[text, 7, 'ms']]);
      }),
      { seed: testSeed },
    );
  });

  it('keeps at most 256 values', () => {
    expect(parsePerfdata(Array.from({ length: 300 }, (_, i) => `m${i}=1`).join(' '))).to.have.length(256);
  });
});
