// Text from elsewhere: nothing in it that a terminal obeys, or that looks like something else.
import { expect } from 'chai';
import fc from 'fast-check';
import { isPrintable, plainLine, printable } from '../../../src/kernel/text.js';
import { testSeed } from '../../support/seeded-random.js';

const ORDERS = [
  '\u001b',
  '\u0007',
  '\u009b',
  '\u007f',
  '\ud83d',
  '\u2028',
  '\u2029',
  '\u061c',
  '\u200e',
  '\u202e',
  '\u2066',
];

describe(`kernel: text (seed ${testSeed})`, () => {
  it('is not printable where it gives orders, and no order is left of it', () => {
    for (const order of ORDERS) {
      const text = `a${order}b`;
      expect(isPrintable(text), JSON.stringify(text)).to.equal(false);
      expect(printable(text)).to.equal('a\ufffdb');
      expect(plainLine(text)).to.equal('a b');
    }
    // Looked at twice, it is the same.
    expect([isPrintable('a\u001b'), isPrintable('a\u001b')]).to.deep.equal([false, false]);
    expect(printable('two\nlines')).to.equal('two\nlines');
  });

  it('of people is left alone', () => {
    const text = 'Grüße, 世界 👋 שלום';
    expect([isPrintable(text), printable(text), plainLine(text)]).to.deep.equal([true, text, text]);
  });

  it('becomes one line of whole characters, no longer than it may be', () => {
    const unit = fc.oneof(fc.string({ unit: 'binary', maxLength: 3 }), fc.constantFrom(...ORDERS, ' ', '\n', '😀'));
    const texts = fc.array(unit, { maxLength: 40 }).map((parts) => parts.join(''));
    fc.assert(
      fc.property(texts, fc.integer({ min: 1, max: 64 }), (text, limit) => {
        const line = plainLine(text, limit);
        expect([...line].length).to.be.at.most(limit);
        expect(isPrintable(line)).to.equal(true);
        expect(line.trim()).to.equal(line);
      }),
      { seed: testSeed },
    );
    expect(plainLine(' two\r\n  lines\tand a tab ')).to.equal('two lines and a tab');
    expect(plainLine('x'.repeat(65), 64)).to.equal(`${'x'.repeat(63)}…`);
    expect(plainLine('x'.repeat(64), 64)).to.equal('x'.repeat(64));
  });

  it('that is one long gap takes no longer than its length', () => {
    expect(plainLine(`a${' '.repeat(2_000_000)}b`)).to.equal('a b');
  });
});
