// Tokens as text: for enrolment and for the API.
import { expect } from 'chai';
import { EnrollmentToken, Role } from '../../../gen/occmesh/enrollment/v1/enrollment.js';
import { createApiToken, formatApiToken, parseApiToken } from '../../../src/identity/api-token.js';
import { IdentityFault } from '../../../src/identity/fault.js';
import { SealingKeyPair } from '../../../src/identity/sealing-keys.js';
import { hashSecret, secretMatches } from '../../../src/identity/secret-hash.js';
import { formatEnrollmentToken, parseEnrollmentToken } from '../../../src/identity/token-text.js';
import { uuidBytes } from '../../../src/identity/uuid.js';
import { systemRandom } from '../../../src/kernel/random.js';
import { seededRandom } from '../../support/seeded-random.js';
import { CUSTOMER, newAuthority } from './fixtures.js';

function faultOf(text: string): IdentityFault {
  try {
    parseEnrollmentToken(text);
  } catch (thrown) {
    if (thrown instanceof IdentityFault) return thrown;
    throw thrown;
  }
  throw new Error('no fault');
}

describe('enrolment tokens', () => {
  let token: EnrollmentToken;
  let text: string;

  before(async () => {
    token = {
      cloud: 'occ.example:443',
      caCertificates: [(await newAuthority()).certificate],
      enrollmentKey: SealingKeyPair.generate().publicKey,
      tokenId: systemRandom.bytes(16),
      secret: systemRandom.bytes(32),
      customerId: uuidBytes(CUSTOMER),
      role: Role.HUB,
      expiresAtMs: Date.UTC(2026, 0, 1),
      connectors: ['192.0.2.7:11000', '[2001:db8::1]:11000'],
      machineId: Buffer.alloc(0),
    };
    text = formatEnrollmentToken(token);
  });

  it('survive their text form, also when a mail program wrapped it', () => {
    expect(text).to.match(/^occ1\.[A-Za-z0-9_-]+$/);
    for (const form of [text, `${text}\n`, `  ${text.match(/.{1,60}/g)?.join('\r\n')}`]) {
      expect(formatEnrollmentToken(parseEnrollmentToken(form))).to.equal(text);
    }
  });

  it('say so when they are none', () => {
    for (const wrong of ['', 'hello', 'occ_abc', 'occ.abc', text.slice(5), `x${text}`, 'x'.repeat(100_000)]) {
      expect(faultOf(wrong).code).to.equal('identity.bad-token');
      expect(faultOf(wrong).message).to.contain('not an enrolment token');
    }
    expect(faultOf(`${text}!`).message).to.contain('characters');
    expect(faultOf('occ1.').code).to.equal('identity.bad-token');
  });

  it('say so when they are of another version', () => {
    const fault = faultOf(text.replace('occ1.', 'occ2.'));
    expect(fault.code).to.equal('identity.token-version');
    expect(fault.message).to.contain('version 2');
    expect(fault.advice).to.be.a('string');
  });

  it('say so when any part of the end is missing', () => {
    // Nothing can tell a token with fewer connectors from one that was cut between two of them; so here it has one, and
    // the cut that leaves exactly none is left out.
    const one = { ...token, connectors: ['192.0.2.7:11000'] };
    const whole = formatEnrollmentToken(one);
    const none = EnrollmentToken.encode({ ...one, connectors: [] }).finish().length;
    let tried = 0;
    for (let length = 5; length < whole.length; length++) {
      if (Buffer.from(whole.slice(5, length), 'base64url').length === none) continue;
      expect(faultOf(whole.slice(0, length)).code, `${length} characters`).to.equal('identity.bad-token');
      tried++;
    }
    expect(tried).to.be.greaterThan(600);
  });

  it('say so when a part cannot be what it should be', () => {
    const wrong: Partial<EnrollmentToken>[] = [
      { cloud: '' },
      { cloud: 'occ.example' },
      { cloud: 'occ.example:0' },
      { cloud: 'https://occ.example:443' },
      { caCertificates: [] },
      { caCertificates: [Buffer.from('no certificate')] },
      { enrollmentKey: Buffer.alloc(31) },
      { tokenId: Buffer.alloc(0) },
      { secret: Buffer.alloc(16) },
      { customerId: Buffer.alloc(4) },
      { role: Role.UNSPECIFIED },
      { role: Role.CLOUD },
      { expiresAtMs: 0 },
      { connectors: ['192.0.2.7'] },
    ];
    for (const part of wrong) {
      const fault = faultOf(formatEnrollmentToken({ ...token, ...part }));
      expect(fault.code, Object.keys(part).join()).to.equal('identity.bad-token');
    }
  });

  it('are never quoted by a fault', () => {
    const fault = faultOf(text.slice(0, -30));
    const secret = Buffer.from(token.secret);
    for (const encoding of ['hex', 'base64url'] as const) {
      expect(JSON.stringify([fault.message, fault.stack, String(fault.cause)])).to.not.contain(
        secret.toString(encoding),
      );
    }
    expect(fault.message).to.not.contain(text.slice(5, 40));
  });
});

describe('API tokens', () => {
  it('survive their text form and match their hash', () => {
    const token = createApiToken(systemRandom);
    expect(token.text).to.match(/^occ_[A-Za-z0-9_-]{64}$/);
    const parsed = parseApiToken(token.text);
    expect(parsed?.id.equals(token.id)).to.equal(true);
    expect(secretMatches(parsed?.secret ?? Buffer.alloc(0), token.hash)).to.equal(true);
    expect(formatApiToken(token)).to.equal(token.text);
    const id = Buffer.alloc(16, 7);
    expect(parseApiToken(createApiToken(systemRandom, id).text)?.id.equals(id)).to.equal(true);
  });

  it('are as random as their source', () => {
    expect(createApiToken(seededRandom(5)).text).to.equal(createApiToken(seededRandom(5)).text);
    expect(createApiToken(seededRandom(5)).text).to.not.equal(createApiToken(seededRandom(6)).text);
  });

  it('are nothing else', () => {
    const { text } = createApiToken(systemRandom);
    for (const wrong of [
      '',
      text.slice(0, -1),
      `${text}A`,
      `${text}\n`,
      ` ${text}`,
      text.replace('occ_', 'OCC_'),
      `${text.slice(0, -1)}=`,
    ]) {
      expect(parseApiToken(wrong), wrong).to.equal(undefined);
    }
  });

  it('match no other hash', () => {
    const { secret, hash } = createApiToken(systemRandom);
    expect(secretMatches(secret, hashSecret(systemRandom.bytes(32)))).to.equal(false);
    for (let bit = 0; bit < 256; bit++) {
      const changed = Buffer.from(hash);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(secretMatches(secret, changed)).to.equal(false);
    }
    expect(secretMatches(secret, hash.subarray(0, 31))).to.equal(false);
    expect(secretMatches(secret, Buffer.alloc(0))).to.equal(false);
    // FIPS 180-4: the digest of "abc".
    expect(hashSecret(Buffer.from('abc')).toString('hex')).to.match(/^ba7816bf8f01cfea/);
  });
});
