// What is said of wrong settings: what is meant, by its name, in words that need no knowledge of the schema.
import { expect } from 'chai';
import { CATALOGUE, describeKind } from '../../../src/sensors/catalogue.js';
import { checkSettings } from '../../../src/sensors/setting-problems.js';

describe('sensors: what is wrong with settings', () => {
  const problems = (kind: string, settings: unknown) => {
    const description = describeKind(kind);
    if (!description) throw new Error(`no kind ${kind}`);
    return checkSettings(description, settings).problems;
  };
  const url = 'http://192.0.2.1/';

  for (const [kind, settings, words] of [
    ['tcp', { port: 22 }, 'host: is missing'],
    ['tcp', { host: 'db', port: 'abc' }, 'port: must be a number'],
    ['ssh', { host: 'db', user: 'root' }, 'fingerprint: is missing'],
    ['http', { url, auth: 'digest' }, 'auth: must be one of none, basic, bearer'],
    ['http', { url, verifyTls: 'maybe' }, 'verifyTls: must be true or false'],
    ['http', { url, colour: 'red' }, 'there is no setting "colour"'],
    ['http', { url, password: 'x' }, 'password is a secret: it is entered apart, once there is the sensor'],
    ['log', { path: '/var/log/syslog', patterns: 'ERROR' }, 'patterns: must be an object: {"name": "value"}'],
  ] as const) {
    it(`${kind} ${JSON.stringify(settings)}: ${words}`, () => {
      expect(problems(kind, settings)).to.equal(words);
    });
  }

  it('nothing, when they are right', () => {
    expect(problems('http', { url })).to.equal(undefined);
    expect(problems('tcp', { host: 'db', port: 22 })).to.equal(undefined);
  });

  it('the words of the library are never seen, nor what was given', () => {
    for (const kind of Object.keys(CATALOGUE)) {
      for (const settings of [{ canary: 1 }, { host: 5, url: [], path: null, user: {} }, [], 'canary', 7]) {
        expect(problems(kind, settings) ?? '').to.not.match(/Invalid|Unrecognized|received|expected/);
      }
    }
  });
});
