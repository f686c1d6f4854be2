// Pages of lists.
import { expect } from 'chai';
import { page } from '../../../../src/cloud/api/paging.js';

describe('cloud: pages', () => {
  const walk = (items: readonly { id: string; settings: string }[], pageSize: number) => {
    const sizes: number[] = [];
    const seen: string[] = [];
    let pageToken = '';
    do {
      const found = page(items, ({ id }) => id, { pageSize, pageToken });
      sizes.push(Buffer.byteLength(JSON.stringify(found.items)));
      seen.push(...found.items.map(({ id }) => id));
      pageToken = found.nextPageToken;
    } while (pageToken !== '');
    return { sizes, seen };
  };
  const itemsOf = (count: number, bytes: number) =>
    Array.from({ length: count }, (_, i) => ({ id: String(i).padStart(4, '0'), settings: 'x'.repeat(bytes) }));

  it('end before a message would be too large, and go on from there', () => {
    const items = itemsOf(100, 100_000);
    const { sizes, seen } = walk(items, 0);
    expect(Math.max(...sizes)).to.be.lessThan(1_100_000);
    expect(seen).to.deep.equal(items.map(({ id }) => id));
  });

  it('have one item at least, however large', () => {
    const { sizes, seen } = walk(itemsOf(3, 1_500_000), 0);
    expect(sizes).to.have.length(3);
    expect(seen).to.have.length(3);
  });

  it('have as many items as asked for where these are small', () => {
    expect(walk(itemsOf(25, 10), 10).sizes).to.have.length(3);
  });
});
