// Secrets of sensors: sealed for one place, opening nowhere else; and whose key they are sealed to.
import { createHash } from 'node:crypto';
import { expect } from 'chai';
import fc from 'fast-check';
import type { SealedSecret } from '../../../gen/occmesh/link/v1/link.js';
import { MeshAuthority } from '../../../src/identity/authority.js';
import { TrustBundle } from '../../../src/identity/certificates.js';
import { IdentityFault } from '../../../src/identity/fault.js';
import { SigningKey } from '../../../src/identity/keys.js';
import { open } from '../../../src/identity/sealing.js';
import { SealingKeyPair, sealingKeyId, signSealingKey } from '../../../src/identity/sealing-keys.js';
import {
  MAX_SECRET,
  openSecret,
  requireSealingKey,
  type SecretPlace,
  sameTarget,
  sealSecret,
  targetParts,
} from '../../../src/identity/secret-sealing.js';
import { uuidBytes, uuidText } from '../../../src/identity/uuid.js';
import { systemClock } from '../../../src/kernel/clock.js';
import { milliseconds } from '../../../src/kernel/duration.js';
import { systemRandom } from '../../../src/kernel/random.js';
import { seededRandom, testSeed } from '../../support/seeded-random.js';

const random = seededRandom(testSeed);
const text = (value: string) => Buffer.from(value, 'utf8');
const newId = () => uuidText(random.bytes(16));

async function codeOf(action: Promise<unknown> | (() => unknown)): Promise<string> {
  try {
    await (typeof action === 'function' ? action() : action);
    return 'no fault';
  } catch (thrown) {
    if (thrown instanceof IdentityFault) return thrown.code;
    throw thrown;
  }
}

const pair = SealingKeyPair.generate();
const place: SecretPlace = {
  customerId: newId(),
  machineId: newId(),
  sensor: 7,
  field: 'password',
  version: 12,
  target: { host: 'db.example', port: '5432', user: 'monitor' },
};

describe('secrets', () => {
  it('open where they belong, with any content up to the limit', async () => {
    for (const length of [1, 20, MAX_SECRET]) {
      const secret = random.bytes(length);
      const sealed = await sealSecret(pair.publicKey, place, secret);
      expect(sealed).to.include({ field: 'password', version: 12 });
      expect(sealed.target.map(({ name }) => name)).to.deep.equal(['host', 'port', 'user']);
      expect(Buffer.from(sealed.sealingKeyId).equals(sealingKeyId(pair.publicKey))).to.equal(true);
      expect((await openSecret(pair, place, sealed)).equals(secret)).to.equal(true);
    }
  });

  it('are bound as the contract says, byte for byte', async () => {
    const sealed = await sealSecret(pair.publicKey, place, text('hunter2'));
    const words = ['password', 'host', 'db.example', 'port', '5432', 'user', 'monitor'];
    const aad = Buffer.concat([
      uuidBytes(place.customerId),
      uuidBytes(place.machineId),
      Buffer.from('00000007000000000000000c', 'hex'),
      ...words.flatMap((word) => [Buffer.from([0, 0, 0, word.length]), text(word)]),
    ]);
    const { plaintext } = await open(pair, { info: text('occ-mesh/secret/v1'), aad }, sealed);
    expect(plaintext.toString()).to.equal('hunter2');
    const digest = createHash('sha256').update(pair.publicKey).digest().subarray(0, 8);
    expect(digest.equals(sealed.sealingKeyId)).to.equal(true);
  });

  it('have limits', async () => {
    for (const length of [0, MAX_SECRET + 1]) {
      expect(await codeOf(sealSecret(pair.publicKey, place, Buffer.alloc(length)))).to.equal('identity.malformed');
    }
    for (const wrong of [
      { field: '' },
      { field: 'Password' },
      { field: 'x'.repeat(65) },
      { sensor: -1 },
      { sensor: 2 ** 32 },
      { version: 1.5 },
      { machineId: 'x' },
    ]) {
      const attempt = sealSecret(pair.publicKey, { ...place, ...wrong }, text('x'));
      expect(await codeOf(attempt), JSON.stringify(wrong)).to.equal('identity.malformed');
    }
    const sealed = await sealSecret(pair.publicKey, place, text('x'));
    for (const ciphertext of [Buffer.alloc(0), Buffer.alloc(16), Buffer.alloc(MAX_SECRET + 17)]) {
      expect(await codeOf(openSecret(pair, place, { ...sealed, ciphertext }))).to.equal('identity.cannot-open');
    }
  });

  it('cannot be swapped: the whole matrix of customers, hubs, sensors, fields, versions and targets', async function () {
    this.timeout(60_000);
    // Hubs have a key each; with the key of the other hub nothing opens either.
    const hubs = [1, 2].map(() => ({ machineId: newId(), keys: SealingKeyPair.generate() }));
    const customers = [newId(), newId()];
    const places = customers.flatMap((customerId) =>
      hubs.flatMap(({ machineId, keys }) =>
        [1, 2].flatMap((sensor) =>
          ['password', 'token'].flatMap((field) =>
            [5, 6].flatMap((version) =>
              [
                { host: 'a', user: 'b' },
                { host: 'ab', user: '' },
              ].map((target) => ({ keys, place: { customerId, machineId, sensor, field, version, target } })),
            ),
          ),
        ),
      ),
    );
    const sealed = await Promise.all(
      places.map(({ keys, place: own }, i) => sealSecret(keys.publicKey, own, text(`secret ${i}`))),
    );
    const count = { own: 0, foreign: 0, otherKey: 0 };
    for (const [i, secret] of sealed.entries()) {
      for (const [j, there] of places.entries()) {
        for (const { keys } of hubs) {
          const opened = await openSecret(keys, there.place, secret).catch(() => undefined);
          if (i === j && keys === there.keys) {
            expect(opened?.toString()).to.equal(`secret ${i}`);
            count.own += 1;
          } else {
            expect(opened, `${i} in ${j}`).to.equal(undefined);
            if (keys === places[i]?.keys) count.foreign += 1;
            else count.otherKey += 1;
          }
        }
      }
    }
    process.stdout.write(
      `      ${sealed.length} secrets: ${count.own} opened in their places, ` +
        `0 of ${count.foreign} elsewhere, 0 of ${count.otherKey} with the other hub's key\n`,
    );
    expect(count).to.deep.equal({ own: 64, foreign: 64 * 63, otherKey: 64 * 64 });
  });

  it(`bind any two different targets differently (TEST_SEED=${testSeed})`, () => {
    const target = fc.dictionary(fc.string({ maxLength: 3 }), fc.string({ maxLength: 3 }), { maxKeys: 3 });
    const canonical = (value: object) => JSON.stringify(Object.entries(value).sort());
    fc.assert(
      fc.property(target, target, (one, other) => {
        expect(sameTarget(one, targetParts(other))).to.equal(canonical(one) === canonical(other));
        expect(sameTarget(one, targetParts(Object.fromEntries(Object.entries(one).reverse())))).to.equal(true);
      }),
      { seed: testSeed, numRuns: 2_000 },
    );
    // What joins to the same text when lengths are left out.
    expect(sameTarget({ host: 'a', user: 'b' }, targetParts({ host: 'auserb' }))).to.equal(false);
    expect(sameTarget({ ab: 'c' }, targetParts({ a: 'bc' }))).to.equal(false);
  });

  it(`open none of 10,000 changed ciphertexts (TEST_SEED=${testSeed})`, async function () {
    this.timeout(120_000);
    const sealed = await sealSecret(pair.publicKey, place, text('hunter2'));
    const at = (length: number) => Math.floor(random.uniform() * length);
    const mutate = (bytes: Uint8Array): Buffer => {
      const kind = at(4);
      if (kind === 0) return Buffer.from(bytes.subarray(0, at(bytes.length)));
      if (kind === 1) return Buffer.concat([bytes, random.bytes(1 + at(3))]);
      const changed = Buffer.from(bytes);
      const index = at(changed.length);
      changed[index] = (changed[index] ?? 0) ^ (1 << at(8));
      return changed;
    };
    let refused = 0;
    for (let n = 0; n < 10_000; n++) {
      const field: keyof SealedSecret = n % 2 === 0 ? 'ciphertext' : 'encapsulatedKey';
      const changed = { ...sealed, [field]: mutate(sealed[field]) };
      if ((await codeOf(openSecret(pair, place, changed))) === 'identity.cannot-open') refused += 1;
    }
    process.stdout.write(`      10,000 changed, ${refused} refused\n`);
    expect(refused).to.equal(10_000);
    expect((await openSecret(pair, place, sealed)).toString()).to.equal('hunter2');
  });
});

describe('whose sealing key it is', () => {
  const now = () => systemClock.now();

  async function published(role: 'hub' | 'connector' = 'hub') {
    const authority = await MeshAuthority.create('occ.example', { clock: systemClock, random: systemRandom });
    const key = SigningKey.generate();
    const { customerId, machineId } = place;
    const identity = { mesh: 'occ.example', customerId, role, machineId };
    const certificate = await authority.issue({ identity, publicKey: key.publicKey, validity: milliseconds(60_000) });
    const sealingKey = SealingKeyPair.generate().publicKey;
    const sealingKeySignature = signSealingKey(key, sealingKey);
    const statement = { customerId, machineId, certificate: certificate.der, sealingKey, sealingKeySignature };
    return { trust: authority.bundle, statement };
  }

  it('is verified up to the mesh CA', async () => {
    const { trust, statement } = await published();
    expect(requireSealingKey(trust, statement, now())).to.equal(statement.sealingKey);
    const other = await published();
    const refuse = async (wrong: Partial<typeof statement>, code: string, bundle: TrustBundle = trust) =>
      expect(await codeOf(() => requireSealingKey(bundle, { ...statement, ...wrong }, now()))).to.equal(code);
    // A key of the cloud's, or of whoever stands between: its own, or another hub's with its own statement.
    await refuse({ sealingKey: SealingKeyPair.generate().publicKey }, 'identity.untrusted');
    const { sealingKey, sealingKeySignature, certificate } = other.statement;
    await refuse({ sealingKey, sealingKeySignature }, 'identity.untrusted');
    await refuse({ sealingKey, sealingKeySignature, certificate }, 'identity.untrusted');
    await refuse({ machineId: newId() }, 'identity.wrong-party');
    await refuse({ customerId: newId() }, 'identity.wrong-party');
    await refuse({}, 'identity.untrusted', new TrustBundle(other.trust.ders));
    await refuse({ certificate: Buffer.alloc(10) }, 'identity.malformed');
    const connector = await published('connector');
    expect(await codeOf(() => requireSealingKey(connector.trust, connector.statement, now()))).to.equal(
      'identity.wrong-role',
    );
  });
});
