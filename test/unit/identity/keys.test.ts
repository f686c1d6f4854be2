// Identity keys, signatures with domain tags, and ids in text and bytes.
import { createECDH, createHash, generateKeyPairSync } from 'node:crypto';
import { expect } from 'chai';
import fc from 'fast-check';
import { IdentityFault } from '../../../src/identity/fault.js';
import { SigningKey, VerifyKey } from '../../../src/identity/keys.js';
import { signContent, verifySigned } from '../../../src/identity/signed.js';
import { TAGS, tagged } from '../../../src/identity/tags.js';
import { isUuid, uuidBytes, uuidText } from '../../../src/identity/uuid.js';

const spkiOf = (curve: string) =>
  generateKeyPairSync('ec', { namedCurve: curve }).publicKey.export({ type: 'spki', format: 'der' });

describe('identity keys', () => {
  const key = SigningKey.generate();
  const data = Buffer.from('what the sensor said');

  it('survive their text form', () => {
    const again = SigningKey.fromPem(key.toPem());
    expect(again.publicKey.equals(key.publicKey)).to.equal(true);
    expect(VerifyKey.fromSpki(key.publicKey.spki).verify(data, again.sign(data))).to.equal(true);
  });

  it('have the id that the contract names', () => {
    expect(key.publicKey.spki).to.have.length(91);
    const digest = createHash('sha256').update(key.publicKey.spki).digest('hex');
    expect(key.publicKey.keyId.toString('hex')).to.equal(digest.slice(0, 16));
  });

  // RFC 6979 appendix A.2.5: the P-256 key, and its signature of "sample" with SHA-256.
  it('verify the signature of a published vector', () => {
    const point =
      '04' +
      '60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6' +
      '7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299';
    const signature =
      'efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716' +
      'f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8';
    const vector = VerifyKey.fromSpki(
      Buffer.from(`3059301306072a8648ce3d020106082a8648ce3d030107034200${point}`, 'hex'),
    );
    expect(vector.verify(Buffer.from('sample'), Buffer.from(signature, 'hex'))).to.equal(true);
    expect(vector.verify(Buffer.from('Sample'), Buffer.from(signature, 'hex'))).to.equal(false);
  });

  it('refuse every other kind of key', () => {
    const ed25519 = generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'der' });
    for (const der of [spkiOf('secp384r1'), spkiOf('secp256k1'), ed25519, Buffer.from('no key'), Buffer.alloc(0)]) {
      expect(() => VerifyKey.fromSpki(der))
        .to.throw(IdentityFault)
        .with.property('code', 'identity.malformed');
    }
    const pem = generateKeyPairSync('ec', { namedCurve: 'secp384r1' }).privateKey.export({
      type: 'pkcs8',
      format: 'pem',
    });
    expect(() => SigningKey.fromPem(pem.toString())).to.throw(IdentityFault);
    expect(() => SigningKey.fromPem('-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----')).to.throw(
      IdentityFault,
    );
  });

  it('have one encoding only, so that one key has one id', () => {
    const ecdh = createECDH('prime256v1');
    ecdh.generateKeys();
    const compressed = Buffer.concat([
      Buffer.from('3039301306072a8648ce3d020106082a8648ce3d030107032200', 'hex'),
      ecdh.getPublicKey(null, 'compressed'),
    ]);
    expect(() => VerifyKey.fromSpki(compressed)).to.throw(IdentityFault);
  });

  it('say no to changed data, foreign keys and garbage, and never throw', () => {
    const signature = key.sign(data);
    expect(key.publicKey.verify(data, signature)).to.equal(true);
    expect(key.publicKey.verify(Buffer.from('what the sensor sald'), signature)).to.equal(false);
    expect(SigningKey.generate().publicKey.verify(data, signature)).to.equal(false);
    fc.assert(fc.property(fc.uint8Array({ maxLength: 80 }), (junk) => !key.publicKey.verify(data, junk)));
    for (let bit = 0; bit < signature.length * 8; bit += 7) {
      const changed = Buffer.from(signature);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(key.publicKey.verify(data, changed), `bit ${bit}`).to.equal(false);
    }
  });
});

describe('signed content', () => {
  const key = SigningKey.generate();
  const content = Buffer.from([1, 2, 3]);

  it('is signed over tag, zero byte and content', () => {
    const signed = signContent(key, TAGS.BATCH, content);
    expect(key.publicKey.verify(Buffer.from('occ-mesh/batch/v1\0\x01\x02\x03', 'latin1'), signed.signature)).to.equal(
      true,
    );
    expect(verifySigned(key.publicKey, TAGS.BATCH, signed)).to.equal(true);
  });

  it('counts for one purpose, one key and one content only', () => {
    const signed = signContent(key, TAGS.BATCH, content);
    for (const tag of Object.values(TAGS)) {
      expect(verifySigned(key.publicKey, tag, signed), tag).to.equal(tag === TAGS.BATCH);
    }
    expect(verifySigned(SigningKey.generate().publicKey, TAGS.BATCH, signed)).to.equal(false);
    expect(verifySigned(key.publicKey, TAGS.BATCH, { ...signed, content: Buffer.from([1, 2, 4]) })).to.equal(false);
    expect(verifySigned(key.publicKey, TAGS.BATCH, { ...signed, keyId: Buffer.alloc(8) })).to.equal(false);
    expect(verifySigned(key.publicKey, TAGS.BATCH, { ...signed, signature: Buffer.alloc(0) })).to.equal(false);
  });

  it('has tags of which none is the beginning of another', () => {
    const tags = Object.values(TAGS).map((tag) => tagged(tag).toString('latin1'));
    for (const a of tags) expect(tags.filter((b) => b.startsWith(a))).to.deep.equal([a]);
  });
});

describe('ids', () => {
  it('survive their text form', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (id) => {
        const text = uuidText(id);
        expect(isUuid(text)).to.equal(true);
        expect(uuidBytes(text).equals(id)).to.equal(true);
      }),
    );
  });

  it('have one text form only', () => {
    const good = '018f0000-aaaa-7bbb-8ccc-0123456789ab';
    expect(uuidBytes(good).toString('hex')).to.equal('018f0000aaaa7bbb8ccc0123456789ab');
    for (const bad of [good.toUpperCase(), good.replaceAll('-', ''), `{${good}}`, `${good}\n`, `${good}0`, '']) {
      expect(() => uuidBytes(bad), bad).to.throw(IdentityFault);
    }
    expect(() => uuidText(Buffer.alloc(15))).to.throw(IdentityFault);
  });
});
