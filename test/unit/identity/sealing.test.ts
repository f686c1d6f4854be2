// Sealing keys, HPKE and the enrolment envelope.
import { generateKeyPairSync } from 'node:crypto';
import { expect } from 'chai';
import { openRequest, sealRequest } from '../../../src/identity/enrollment-envelope.js';
import { IdentityFault } from '../../../src/identity/fault.js';
import { SigningKey } from '../../../src/identity/keys.js';
import { open, seal } from '../../../src/identity/sealing.js';
import { SealingKeyPair, signSealingKey, verifySealingKey } from '../../../src/identity/sealing-keys.js';
import { seededRandom, testSeed } from '../../support/seeded-random.js';

const hex = (text: string) => Buffer.from(text, 'hex');
const text = (value: string) => Buffer.from(value, 'utf8');
const random = seededRandom(testSeed);

async function codeOf(action: Promise<unknown>): Promise<string> {
  return action.then(
    () => 'no fault',
    (thrown) => (thrown instanceof IdentityFault ? thrown.code : Promise.reject(thrown)),
  );
}

/** A bit flipped, or bytes cut off or added: never the same as before. */
function mutate(bytes: Uint8Array): Buffer {
  const at = (length: number) => Math.floor(random.uniform() * length);
  const kind = at(4); // Half of them are flips.
  if (kind === 0) return Buffer.from(bytes.subarray(0, at(bytes.length)));
  if (kind === 1) return Buffer.concat([bytes, random.bytes(1 + at(3))]);
  const changed = Buffer.from(bytes);
  const index = at(changed.length);
  changed[index] = (changed[index] ?? 0) ^ (1 << at(8));
  return changed;
}

describe('sealing keys', () => {
  it('survive their text form', () => {
    const pair = SealingKeyPair.generate();
    expect(pair.publicKey).to.have.length(32);
    expect(SealingKeyPair.fromPem(pair.toPem()).publicKey.equals(pair.publicKey)).to.equal(true);
    expect(SealingKeyPair.fromRaw(pair.toRaw()).publicKey.equals(pair.publicKey)).to.equal(true);
  });

  it('refuse every other kind of key', () => {
    const x448 = generateKeyPairSync('x448').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    for (const pem of [SigningKey.generate().toPem(), x448, '', 'no key']) {
      expect(() => SealingKeyPair.fromPem(pem))
        .to.throw(IdentityFault)
        .with.property('code', 'identity.malformed');
    }
    expect(() => SealingKeyPair.fromRaw(Buffer.alloc(31))).to.throw(IdentityFault);
  });

  it('are published in a statement of the identity', () => {
    const [key, sealing] = [SigningKey.generate(), SealingKeyPair.generate().publicKey];
    const signature = signSealingKey(key, sealing);
    expect(key.publicKey.verify(Buffer.concat([text('occ-mesh/sealing-key/v1\0'), sealing]), signature)).to.equal(true);
    expect(verifySealingKey(key.publicKey, sealing, signature)).to.equal(true);
    expect(verifySealingKey(SigningKey.generate().publicKey, sealing, signature)).to.equal(false);
    expect(verifySealingKey(key.publicKey, SealingKeyPair.generate().publicKey, signature)).to.equal(false);
    const short = Buffer.alloc(31);
    expect(verifySealingKey(key.publicKey, short, signSealingKey(key, short))).to.equal(false);
  });
});

// The vector of the RFC's authors for mode_base, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM
// (test-vectors.json of draft-irtf-cfrg-hpke, which RFC 9180 appendix A quotes in part).
const VECTOR = {
  info: hex('4f6465206f6e2061204772656369616e2055726e'),
  privateKey: hex('497b4502664cfea5d5af0b39934dac72242a74f8480451e1aee7d6a53320333d'),
  publicKey: '430f4b9859665145a6b1ba274024487bd66f03a2dd577d7753c68d7d7d00c00c',
  encapsulatedKey: hex('6c93e09869df3402d7bf231bf540fadd35cd56be14f97178f0954db94b7fc256'),
  aad: hex('436f756e742d30'),
  ciphertext: hex('e5d84cd531cfb583096e7cfa9641bd3079cf3a91cda813c52deb5f512be9931980a41de125a925cdad859d5b7a'),
  plaintext: hex('4265617574792069732074727574682c20747275746820626561757479'),
  exports: [
    ['', 'ded6cffafaea6b812cbf3e241e88332adbc077aca81512914213810ee291770a'],
    ['00', '04d3cb6cc116b28ffd22ad5bc276c60d31fec71ceb87ae24db811c64b7507339'],
    ['54657374436f6e74657874', '7c5ded445732c14fe09727d29b4251c0fd38455fe8440571e687f0886aac94d2'],
  ] as const,
};

describe('sealing', () => {
  const pair = SealingKeyPair.generate();
  const context = { info: text('what for'), aad: text('to whom') };

  it('agrees with the published vector', async () => {
    const recipient = SealingKeyPair.fromRaw(VECTOR.privateKey);
    expect(recipient.publicKey.toString('hex')).to.equal(VECTOR.publicKey);
    const { plaintext, exportSecret } = await open(recipient, VECTOR, VECTOR);
    expect(plaintext.equals(VECTOR.plaintext)).to.equal(true);
    for (const [label, value] of VECTOR.exports) {
      expect((await exportSecret(hex(label), 32)).toString('hex')).to.equal(value);
    }
  });

  it('takes its randomness from where it is told, and a fresh key each time', async () => {
    const once = await seal(pair.publicKey, context, text('x'), seededRandom(1));
    const again = await seal(pair.publicKey, context, text('x'), seededRandom(1));
    const other = await seal(pair.publicKey, context, text('x'));
    expect(once.ciphertext).to.deep.equal(again.ciphertext);
    expect(once.encapsulatedKey).to.not.deep.equal(other.encapsulatedKey);
  });

  it('opens for its holder, with the same secrets on both ends', async () => {
    for (const length of [0, 1, 100, 65_536]) {
      const plaintext = random.bytes(length);
      const sealed = await seal(pair.publicKey, context, plaintext);
      expect(sealed.ciphertext).to.have.length(length + 16);
      const opened = await open(pair, context, sealed);
      expect(opened.plaintext.equals(plaintext)).to.equal(true);
      expect(await opened.exportSecret(text('a'), 32)).to.deep.equal(await sealed.exportSecret(text('a'), 32));
      expect(await opened.exportSecret(text('a'), 32)).to.not.deep.equal(await sealed.exportSecret(text('b'), 32));
    }
  });

  it('opens for nobody else and for nothing else', async () => {
    const sealed = await seal(pair.publicKey, context, text('hunter2'));
    const fails = async (attempt: ReturnType<typeof open>) =>
      expect(await codeOf(attempt)).to.equal('identity.cannot-open');
    await fails(open(SealingKeyPair.generate(), context, sealed));
    await fails(open(pair, { ...context, info: text('what else') }, sealed));
    await fails(open(pair, { ...context, aad: text('to another') }, sealed));
    await fails(open(pair, context, { ...sealed, encapsulatedKey: Buffer.alloc(32) }));
    await fails(open(pair, context, { ...sealed, encapsulatedKey: SealingKeyPair.generate().publicKey }));
  });

  it('does not seal to what is no key', async () => {
    for (const key of [Buffer.alloc(0), Buffer.alloc(31), Buffer.alloc(33), Buffer.alloc(32)]) {
      expect(await codeOf(seal(key, context, text('x')))).to.equal('identity.malformed');
    }
  });

  it(`opens none of 1,000 changed messages (TEST_SEED=${testSeed})`, async () => {
    const sealed = await seal(pair.publicKey, context, text('hunter2'));
    for (let n = 0; n < 1_000; n++) {
      const changed =
        n % 2 === 0
          ? { ...sealed, ciphertext: mutate(sealed.ciphertext) }
          : { ...sealed, encapsulatedKey: mutate(sealed.encapsulatedKey) };
      expect(await codeOf(open(pair, context, changed)), `change ${n}`).to.equal('identity.cannot-open');
    }
  });
});

describe('the enrolment envelope', () => {
  const cloud = SealingKeyPair.generate();

  it('carries a request there and the answer back', async () => {
    const request = await sealRequest(cloud.publicKey, 'Enrol', text('let me in'));
    const opened = await openRequest(cloud, 'Enrol', request.sealed);
    expect(Buffer.from(opened.content).toString()).to.equal('let me in');
    const answer = opened.sealAnswer(text('welcome'));
    expect(answer.ciphertext).to.have.length(12 + 7 + 16);
    expect(Buffer.from(await request.openAnswer(answer)).toString()).to.equal('welcome');
    expect(opened.sealAnswer(text('welcome')).ciphertext).to.not.deep.equal(answer.ciphertext);
  });

  it('is for one method', async () => {
    const request = await sealRequest(cloud.publicKey, 'Enrol', text('let me in'));
    expect(await codeOf(openRequest(cloud, 'Renew', request.sealed))).to.equal('identity.cannot-open');
  });

  it('takes an answer to this request only, and only from the cloud', async () => {
    const [one, two] = [
      await sealRequest(cloud.publicKey, 'Enrol', text('one')),
      await sealRequest(cloud.publicKey, 'Enrol', text('two')),
    ];
    const answerToTwo = (await openRequest(cloud, 'Enrol', two.sealed)).sealAnswer(text('for two'));
    expect(await codeOf(one.openAnswer(answerToTwo))).to.equal('identity.cannot-open');
    expect(await codeOf(two.openAnswer(answerToTwo))).to.equal('no fault');
    expect(await codeOf(openRequest(SealingKeyPair.generate(), 'Enrol', one.sealed))).to.equal('identity.cannot-open');
    expect(await codeOf(one.openAnswer({ ciphertext: Buffer.alloc(0) }))).to.equal('identity.cannot-open');
  });

  it('has limits', async () => {
    const { sealed } = await sealRequest(cloud.publicKey, 'Enrol', Buffer.alloc(65_536));
    expect(await codeOf(openRequest(cloud, 'Enrol', sealed))).to.equal('identity.malformed');
    const empty = { encapsulatedKey: Buffer.alloc(0), ciphertext: Buffer.alloc(0) };
    expect(await codeOf(openRequest(cloud, 'Enrol', empty))).to.equal('identity.malformed');
  });

  it(`opens none of 1,000 changed answers (TEST_SEED=${testSeed})`, async () => {
    const request = await sealRequest(cloud.publicKey, 'Renew', text('again'));
    const { ciphertext } = (await openRequest(cloud, 'Renew', request.sealed)).sealAnswer(text('welcome'));
    for (let n = 0; n < 1_000; n++) {
      expect(await codeOf(request.openAnswer({ ciphertext: mutate(ciphertext) })), `change ${n}`).to.equal(
        'identity.cannot-open',
      );
    }
  });
});
