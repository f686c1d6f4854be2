// What is believed of an answer, and how much of it a search keeps.
import { expect } from 'chai';
import fc from 'fast-check';
import ssdp from 'node-ssdp';
import { localInterface } from '../../../src/discovery/interfaces.js';
import { Answers, MAX_HINTS, MAX_HINTS_PER_SOURCE } from '../../../src/discovery/searcher.js';
import { CONNECTOR_TYPE, hintFrom, parseLocation, parseUsn } from '../../../src/discovery/ssdp-protocol.js';

const LAN = localInterface('eth0', '192.0.2.10', '255.255.255.0');
const answer = (location: string, extra: Record<string, string> = {}) => ({
  ST: CONNECTOR_TYPE,
  USN: `uuid:machine-1::${CONNECTOR_TYPE}`,
  LOCATION: location,
  ...extra,
});
const GOOD = answer('https://192.0.2.20:11000/');

describe('SSDP answers', () => {
  it('become hints', () => {
    expect(hintFrom(GOOD, 200, LAN)).to.deep.equal({
      host: '192.0.2.20',
      port: 11_000,
      source: 'ssdp',
      machineId: 'machine-1',
    });
  });

  for (const [what, headers] of [
    ['an address of another subnet', answer('https://198.51.100.1:11000/')],
    ['a name', answer('https://connector.example:11000/')],
    ['port 0', answer('https://192.0.2.20:0/')],
    ['port 99999', answer('https://192.0.2.20:99999/')],
    ['no port', answer('https://192.0.2.20/')],
    ['an address as one number', answer('https://3221225994:11000/')],
    ['an address with octal parts', answer('https://192.0.02.020:11000/')],
    ['an IPv6 address', answer('https://[::ffff:192.0.2.20]:11000/')],
    ['a path', answer('https://192.0.2.20:11000/admin')],
    ['a user', answer('https://192.0.2.20:11000@198.51.100.1:1/')],
    ['http', answer('http://192.0.2.20:11000/')],
    ['a control character', answer('https://192.0.2.20:11000/\x00')],
    ['a second line', answer('https://192.0.2.20:11000/\nhttps://192.0.2.21:1/')],
    ['no LOCATION', { ST: CONNECTOR_TYPE, USN: GOOD.USN }],
    ['another service', { ...GOOD, ST: 'upnp:rootdevice' }],
    ['no USN', { ST: CONNECTOR_TYPE, LOCATION: GOOD.LOCATION }],
    ['a USN of another service', { ...GOOD, USN: 'uuid:machine-1::upnp:rootdevice' }],
    ['a machine id with control characters', { ...GOOD, USN: `uuid:\x1b[31m::${CONNECTOR_TYPE}` }],
    ['a huge machine id', { ...GOOD, USN: `uuid:${'a'.repeat(65)}::${CONNECTOR_TYPE}` }],
  ] as const) {
    it(`are ignored with ${what}`, () => expect(hintFrom(headers, 200, LAN)).to.equal(undefined));
  }

  it('are ignored with another status', () => expect(hintFrom(GOOD, 404, LAN)).to.equal(undefined));

  it('give an address only if the whole text is one', () => {
    fc.assert(
      fc.property(fc.oneof(fc.webUrl(), fc.string()), (tail) => {
        fc.pre(!/^\d*\/?$/.test(tail));
        expect(parseLocation(tail)).to.equal(undefined);
        expect(parseLocation(`https://192.0.2.1:1${tail}`)).to.equal(undefined);
      }),
    );
  });

  it('name their machine', () => {
    expect(parseUsn(`uuid:0190-ab::${CONNECTOR_TYPE}`)).to.equal('0190-ab');
    expect(parseUsn(`uuid:0190-ab::${CONNECTOR_TYPE}::x`)).to.equal(undefined);
    expect(parseUsn(CONNECTOR_TYPE)).to.equal(undefined);
  });
});

describe('the answers of one search', () => {
  const offer = (answers: Answers, host: string, port: number, from = host) =>
    answers.offer(answer(`https://${host}:${port}/`), 200, { address: from }, LAN);

  it('are kept once each', () => {
    const answers = new Answers();
    for (let i = 0; i < 3; i++) offer(answers, '192.0.2.20', 11_000);
    offer(answers, '192.0.2.21', 11_000);
    expect(answers.hints.map((hint) => hint.host)).to.deep.equal(['192.0.2.20', '192.0.2.21']);
  });

  it('are bounded per source, so that one liar leaves room for others', () => {
    const answers = new Answers();
    for (let port = 1; port < 1_000; port++) offer(answers, '192.0.2.66', port);
    offer(answers, '192.0.2.20', 11_000);
    expect(answers.hints).to.have.length(MAX_HINTS_PER_SOURCE + 1);
  });

  it('are bounded in all', () => {
    const answers = new Answers();
    for (let host = 1; host < 250; host++) offer(answers, `192.0.2.${host}`, 11_000);
    expect(answers.hints).to.have.length(MAX_HINTS);
  });
});

describe('node-ssdp', () => {
  it('still has the inner methods that are overridden', () => {
    for (const name of ['_parseMessage', '_send', 'addUSN']) {
      expect(ssdp.Server.prototype, name).to.have.property(name).that.is.a('function');
      expect(ssdp.Client.prototype, name).to.have.property(name).that.is.a('function');
    }
    for (const name of ['_msearch', '_respondToSearch', 'advertise']) {
      expect(ssdp.Server.prototype, name).to.have.property(name).that.is.a('function');
    }
  });
});
