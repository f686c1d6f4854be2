// Addresses as people, tokens and the cloud write them.
import { expect } from 'chai';
import fc from 'fast-check';
import { AddressFault, formatAddress, parseAddress } from '../../../src/discovery/hint.js';

describe('connector addresses', () => {
  for (const [text, host, port] of [
    ['192.0.2.10:11000', '192.0.2.10', 11_000],
    ['[2001:DB8::10]:11000', '2001:db8::10', 11_000],
    ['[fe80::1%eth0]:1', 'fe80::1%eth0', 1],
    ['Connector.Example:65535', 'connector.example', 65_535],
    ['  srv_01:443\n', 'srv_01', 443],
  ] as const) {
    it(`reads ${JSON.stringify(text)}`, () => expect(parseAddress(text)).to.deep.equal({ host, port }));
  }

  for (const [text, problem] of [
    ['192.0.2.10', 'the port is missing'],
    ['192.0.2.10:', 'the port is missing'],
    ['[::1]', 'the port is missing'],
    ['192.0.2.10:0', 'the port must be'],
    ['192.0.2.10:99999', 'the port must be'],
    ['192.0.2.10:1e3', 'the port must be'],
    ['192.0.2.10:-1', 'the port must be'],
    ['2001:db8::10', 'needs brackets'],
    ['a:b:1', 'more than one colon'],
    ['[192.0.2.10]:1', 'must be an IPv6 address'],
    ['300.1.1.1:1', 'the host must be'],
    ['2130706433:1', 'the host must be'],
    ['https://host:1', 'more than one colon'],
    ['-host:1', 'the host must be'],
    ['ho\x00st:1', 'the host must be'],
    ['ho st:1', 'the host must be'],
    [`${'a'.repeat(64)}:1`, 'the host must be'],
    [':1', 'the host must be'],
    ['', 'the host must be'],
  ] as const) {
    it(`refuses ${JSON.stringify(text.slice(0, 30))}`, () => {
      expect(() => parseAddress(text))
        .to.throw(AddressFault, problem)
        .with.property('permanent', true);
    });
  }

  it('never shows control characters, or much, of what it refuses', () => {
    expect(() => parseAddress(`\x1b[31m${'x'.repeat(5_000)}`)).to.throw(AddressFault, /^[\x20-\x7e]{1,250}$/);
  });

  it('writes what it reads', () => {
    const host = fc.oneof(fc.ipV4(), fc.ipV6(), fc.domain());
    fc.assert(
      fc.property(host, fc.integer({ min: 1, max: 65_535 }), (name, port) => {
        const address = { host: name.toLowerCase(), port };
        expect(parseAddress(formatAddress(address))).to.deep.equal(address);
      }),
    );
  });

  it('throws nothing but AddressFault', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        try {
          parseAddress(text);
        } catch (thrown) {
          expect(thrown).to.be.instanceOf(AddressFault);
        }
      }),
    );
  });
});
