// Identities in certificates, requests for them, and who is trusted.
import { type webcrypto, X509Certificate } from 'node:crypto';
import { expect } from 'chai';
import fc from 'fast-check';
import { MeshAuthority } from '../../../src/identity/authority.js';
import {
  claimedIdentity,
  MeshCertificate,
  TrustBundle,
  type VerifyOptions,
} from '../../../src/identity/certificates.js';
import { createCsr, verifyCsr } from '../../../src/identity/csr.js';
import { IdentityFault } from '../../../src/identity/fault.js';
import { SigningKey } from '../../../src/identity/keys.js';
import { type MeshIdentity, parseSpiffe, spiffeUri } from '../../../src/identity/spiffe.js';
import { ECDSA_SHA256, webKeyPair, x509 } from '../../../src/identity/x509.js';
import { days, epochMs } from '../../../src/kernel/duration.js';
import { systemRandom } from '../../../src/kernel/random.js';
import { FakeClock } from '../../support/fake-clock.js';
import {
  CLOUD,
  CONNECTOR,
  CUSTOMER,
  HUB,
  MACHINE,
  MESH,
  member,
  modules,
  newAuthority,
  OTHER_MACHINE,
} from './fixtures.js';

const NOW = new FakeClock().now();
const later = (n: number) => epochMs(NOW + days(n));

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (thrown) {
    if (thrown instanceof IdentityFault) return thrown.code;
    throw thrown;
  }
  return 'no fault';
}

async function asyncCodeOf(action: () => Promise<unknown>): Promise<string> {
  return action().then(
    () => 'no fault',
    (thrown) => (thrown instanceof IdentityFault ? thrown.code : Promise.reject(thrown)),
  );
}

/** Certificates as no authority of ours makes them. */
async function forge(
  signer: SigningKey,
  issuer: string,
  subject: SigningKey,
  uris: readonly string[],
  extra: x509.Extension[] = [],
): Promise<Buffer> {
  const { publicKey } = await webKeyPair(subject);
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: '42',
    subject: 'CN=forged',
    issuer,
    notBefore: new Date(NOW - 1_000),
    notAfter: new Date(later(1)),
    publicKey,
    signingKey: (await webKeyPair(signer)).privateKey,
    signingAlgorithm: ECDSA_SHA256,
    extensions: [
      ...(uris.length > 0
        ? [new x509.SubjectAlternativeNameExtension(uris.map((value) => ({ type: 'url', value }) as const))]
        : []),
      ...extra,
    ],
  });
  return Buffer.from(certificate.rawData);
}

describe('SPIFFE ids', () => {
  it('say who a member is', () => {
    expect(spiffeUri(HUB)).to.equal(`spiffe://${MESH}/customer/${CUSTOMER}/hub/${MACHINE}`);
    expect(spiffeUri(CLOUD)).to.equal(`spiffe://${MESH}/cloud/${MACHINE}`);
    for (const identity of [HUB, CONNECTOR, CLOUD]) expect(parseSpiffe(spiffeUri(identity))).to.deep.equal(identity);
  });

  it('have exactly one form', () => {
    const good = spiffeUri(HUB);
    const bad = [
      '',
      good.toUpperCase(),
      good.replace('spiffe', 'SPIFFE'),
      good.replace('/hub/', '/admin/'),
      good.replace('/hub/', '/cloud/'),
      good.replace('customer', 'tenant'),
      good.replace(MESH, 'Occ.Example'),
      good.replace(MESH, ''),
      good.replace(MESH, 'user@occ.example'),
      good.replace(MESH, 'occ.example:443'),
      `${good}/`,
      `${good}?x=1`,
      `${good}#x`,
      `${good}\n`,
      good.replace(MACHINE, '..'),
      good.replace(MACHINE, MACHINE.toUpperCase().replace('B', '%42')),
      `${spiffeUri(CLOUD)}/customer/${CUSTOMER}/hub/${MACHINE}`,
    ];
    for (const uri of bad)
      expect(
        codeOf(() => parseSpiffe(uri)),
        uri,
      ).to.equal('identity.malformed');
    expect(codeOf(() => spiffeUri({ ...CLOUD, customerId: CUSTOMER }))).to.equal('identity.malformed');
    expect(codeOf(() => spiffeUri({ ...HUB, customerId: '' }))).to.equal('identity.malformed');
  });
});

describe('certificate requests', () => {
  const key = SigningKey.generate();

  it('prove the possession of a key', async () => {
    expect(verifyCsr(await createCsr(key)).equals(key.publicKey)).to.equal(true);
  });

  it('count for no other curve, and not for the key of somebody else', async () => {
    const p384 = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-384' }, false, ['sign', 'verify']);
    const other = await x509.Pkcs10CertificateRequestGenerator.create({
      name: '',
      keys: p384 as webcrypto.CryptoKeyPair,
      signingAlgorithm: { name: 'ECDSA', hash: 'SHA-384' },
    });
    expect(codeOf(() => verifyCsr(Buffer.from(other.rawData)))).to.equal('identity.malformed');

    const stranger = await webKeyPair(SigningKey.generate());
    const { publicKey } = await webKeyPair(key);
    const stolen = await x509.Pkcs10CertificateRequestGenerator.create({
      name: '',
      keys: { publicKey, privateKey: stranger.privateKey },
      signingAlgorithm: ECDSA_SHA256,
    });
    expect(codeOf(() => verifyCsr(Buffer.from(stolen.rawData)))).to.equal('identity.malformed');
  });

  it('do not survive a change of any byte', async () => {
    const der = await createCsr(key);
    for (let at = 0; at < der.length; at++) {
      const changed = Buffer.from(der);
      changed[at] = (changed[at] ?? 0) ^ 0x04;
      expect(
        codeOf(() => verifyCsr(changed)),
        `byte ${at}`,
      ).to.equal('identity.malformed');
    }
    expect(codeOf(() => verifyCsr(Buffer.alloc(5_000, 0x30)))).to.equal('identity.malformed');
  });
});

describe('certificates of members', () => {
  let authority: MeshAuthority;
  const verify = (der: Uint8Array, at = NOW, options?: VerifyOptions) =>
    codeOf(() => authority.bundle.verify(der, at, options));

  before(async () => {
    authority = await newAuthority();
  });

  it('say who the member is and with which key', async () => {
    for (const identity of [HUB, CONNECTOR, CLOUD]) {
      const { certificate, key } = await member(authority, identity);
      const verified = authority.bundle.verify(certificate.der, NOW, { role: identity.role });
      expect(verified.identity).to.deep.equal(identity);
      expect(verified.key.equals(key.publicKey)).to.equal(true);
      expect(verified.notAfter - NOW).to.equal(days(90));
      expect(verified.notBefore).to.be.lessThan(NOW);
      const parsed = new X509Certificate(verified.pem);
      expect(parsed.raw.equals(certificate.der)).to.equal(true);
      expect(parsed.toString()).to.equal(verified.pem);
      expect(parsed.serialNumber).to.match(/^[4-7][0-9A-F]{31}$/);
    }
  });

  it('can be asked whose they claim to be, whoever wrote them', async () => {
    for (const identity of [HUB, CONNECTOR, CLOUD]) {
      expect(claimedIdentity((await member(authority, identity)).certificate.der)).to.deep.equal(identity);
    }
    const mesh = 'm'.repeat(200);
    const other = await newAuthority(mesh);
    // Longer than a length of one byte can say: not seen, and nothing worse.
    const { certificate } = await member(other, { ...HUB, mesh });
    expect(claimedIdentity(certificate.der)).to.equal(undefined);
    fc.assert(fc.property(fc.uint8Array({ maxLength: 80 }), (junk) => claimedIdentity(junk) === undefined));
    const text = Buffer.from('\x86\x7fspiffe://occ.example/hub');
    for (let end = 0; end <= text.length; end++) {
      expect(claimedIdentity(text.subarray(0, end))).to.equal(undefined);
    }
  });

  it('may be used as server certificates by connectors and cloud nodes only', async () => {
    const usage = async (identity: MeshIdentity) =>
      new X509Certificate((await member(authority, identity)).certificate.der).keyUsage;
    const [client, server] = ['1.3.6.1.5.5.7.3.2', '1.3.6.1.5.5.7.3.1'];
    expect(await usage(HUB)).to.deep.equal([client]);
    expect(await usage(CONNECTOR)).to.deep.equal([client, server]);
    expect(await usage(CLOUD)).to.deep.equal([client, server]);
  });

  it('name hosts for cloud nodes only', async () => {
    const names = { dnsNames: ['cloud.example'], addresses: ['127.0.0.1', '::1'] };
    const { certificate } = await member(authority, CLOUD, names);
    const parsed = new X509Certificate(certificate.der);
    expect(parsed.checkHost('cloud.example')).to.equal('cloud.example');
    expect(parsed.checkIP('::1')).to.not.equal(undefined);
    expect(authority.bundle.verify(certificate.der, NOW).identity).to.deep.equal(CLOUD);
    expect(await asyncCodeOf(() => member(authority, HUB, names))).to.equal('identity.malformed');
  });

  it('are valid for their time', async () => {
    const { certificate } = await member(authority, HUB, { validity: days(10) });
    expect(verify(certificate.der, later(9))).to.equal('no fault');
    expect(verify(certificate.der, later(11))).to.equal('identity.expired');
    expect(verify(certificate.der, later(11), { allowExpired: true })).to.equal('no fault');
    expect(verify(certificate.der, later(-0.9))).to.equal('no fault');
    expect(verify(certificate.der, epochMs(0))).to.equal('identity.not-yet-valid');
    expect(verify(certificate.der, epochMs(0), { allowNotYetValid: true })).to.equal('no fault');
    expect(verify(certificate.der, epochMs(0), { allowExpired: true })).to.equal('identity.not-yet-valid');
  });

  it('never outlive their authority', async () => {
    const { certificate } = await member(authority, HUB, { validity: days(100_000) });
    expect(certificate.notAfter - NOW).to.equal(days(3_652));
    expect(verify(certificate.der, later(3_653))).to.equal('identity.expired');
  });

  it('are of one role', async () => {
    const { certificate } = await member(authority, HUB);
    expect(verify(certificate.der, NOW, { role: 'hub' })).to.equal('no fault');
    expect(verify(certificate.der, NOW, { role: 'connector' })).to.equal('identity.wrong-role');
    expect(verify(certificate.der, NOW, { role: 'cloud' })).to.equal('identity.wrong-role');
  });

  it('of another authority are not trusted, whatever they say', async () => {
    const stranger = await newAuthority();
    const { certificate } = await member(stranger, HUB);
    expect(verify(certificate.der)).to.equal('identity.untrusted');
    expect(codeOf(() => stranger.bundle.verify(certificate.der, NOW))).to.equal('no fault');

    const own = SigningKey.generate();
    const issuer = new x509.X509Certificate(authority.certificate).subject;
    expect(verify(await forge(own, issuer, own, [spiffeUri(HUB)]))).to.equal('identity.untrusted');
    expect(verify(await forge(own, 'CN=forged', own, [spiffeUri(HUB)]))).to.equal('identity.untrusted');
  });

  it('do not make their holder an authority', async () => {
    const { certificate, key } = await member(authority, CONNECTOR);
    const { subject } = new x509.X509Certificate(certificate.der);
    const below = await forge(key, subject, SigningKey.generate(), [spiffeUri(HUB)]);
    expect(verify(below)).to.equal('identity.untrusted');
    expect(codeOf(() => new TrustBundle([certificate.der]))).to.equal('identity.malformed');
    const lookalike = (isCa: boolean) =>
      forge(key, 'CN=forged', key, [`spiffe://${MESH}`], [new x509.BasicConstraintsExtension(isCa)]);
    const [plain, control] = [await lookalike(false), await lookalike(true)];
    expect(codeOf(() => new TrustBundle([plain]))).to.equal('identity.malformed');
    expect(
      codeOf(() => new TrustBundle([control])),
      'control',
    ).to.equal('no fault');
  });

  it('must be what this mesh issues, even when its own key signed something else', async () => {
    const issuer = new x509.X509Certificate(authority.certificate).subject;
    const signed = (uris: string[], extra?: x509.Extension[]) =>
      forge(authority.key, issuer, SigningKey.generate(), uris, extra);
    expect(verify(await signed([spiffeUri(HUB)])), 'control').to.equal('no fault');
    expect(verify(await signed([]))).to.equal('identity.malformed');
    expect(verify(await signed([spiffeUri(HUB), spiffeUri(CONNECTOR)]))).to.equal('identity.malformed');
    expect(verify(await signed([spiffeUri(HUB)], [new x509.BasicConstraintsExtension(true)]))).to.equal(
      'identity.malformed',
    );
    expect(verify(await signed([spiffeUri({ ...HUB, mesh: 'other.example' })]))).to.equal('identity.untrusted');
    expect(verify(authority.certificate)).to.equal('identity.malformed');
    const misnamed = await forge(authority.key, 'CN=forged', SigningKey.generate(), [spiffeUri(HUB)]);
    expect(verify(misnamed)).to.equal('identity.untrusted');
    const hidden = new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: `a, URI:${spiffeUri(CONNECTOR)}` }]);
    expect(verify(await signed([], [hidden]))).to.equal('identity.malformed');
  });

  it('do not survive a change of any byte', async () => {
    const { certificate } = await member(authority, HUB);
    for (let at = 0; at < certificate.der.length; at++) {
      const changed = Buffer.from(certificate.der);
      changed[at] = (changed[at] ?? 0) ^ 0x01;
      expect(verify(changed), `byte ${at}`).to.be.oneOf(['identity.untrusted', 'identity.malformed']);
    }
    expect(verify(Buffer.concat([certificate.der, Buffer.of(0)]))).to.equal('identity.malformed');
    expect(verify(Buffer.from(certificate.pem))).to.equal('identity.malformed');
    expect(verify(Buffer.alloc(0))).to.equal('identity.malformed');
  });

  it('are judged anew each time although the signature is remembered', async () => {
    const { certificate } = await member(authority, HUB, { validity: days(1) });
    const bundle = new TrustBundle([authority.certificate]);
    const first = bundle.verify(certificate.der, NOW);
    expect(bundle.verify(certificate.der, NOW)).to.equal(first);
    expect(codeOf(() => bundle.verify(certificate.der, later(2)))).to.equal('identity.expired');
    expect(codeOf(() => bundle.verify(certificate.der, NOW, { role: 'cloud' }))).to.equal('identity.wrong-role');
  });

  it('can be those of several authorities', async () => {
    const next = await newAuthority();
    const bundle = new TrustBundle([authority.certificate, next.certificate]);
    const [old, fresh] = [await member(authority, HUB), await member(next, { ...HUB, machineId: OTHER_MACHINE })];
    expect(bundle.verify(old.certificate.der, NOW).identity.machineId).to.equal(MACHINE);
    expect(bundle.verify(fresh.certificate.der, NOW).identity.machineId).to.equal(OTHER_MACHINE);
    expect(bundle.meshes).to.deep.equal([MESH]);
    expect(codeOf(() => new TrustBundle([]))).to.equal('identity.malformed');
  });
});

describe('the mesh authority', () => {
  it('issues nothing for another mesh, and has a sound name', async () => {
    const authority = await newAuthority();
    expect(await asyncCodeOf(() => member(authority, { ...HUB, mesh: 'other.example' }))).to.equal(
      'identity.malformed',
    );
    expect(await asyncCodeOf(() => MeshAuthority.create('Not a name', modules()))).to.equal('identity.malformed');
  });

  it('belongs to its key', async () => {
    const authority = await newAuthority();
    const again = MeshAuthority.restore(authority.key, authority.certificate, modules());
    const { certificate } = await member(again, HUB);
    expect(authority.bundle.verify(certificate.der, NOW).identity).to.deep.equal(HUB);
    expect(codeOf(() => MeshAuthority.restore(SigningKey.generate(), authority.certificate, modules()))).to.equal(
      'identity.malformed',
    );
  });

  it('with a new certificate still vouches for what its key signed', async () => {
    const authority = await newAuthority();
    const { certificate } = await member(authority, HUB);
    const renewed = await MeshAuthority.create(MESH, modules(), authority.key);
    expect(renewed.certificate.equals(authority.certificate)).to.equal(false);
    expect(renewed.bundle.verify(certificate.der, NOW).identity).to.deep.equal(HUB);
  });

  it('works on a machine whose clock stands at the beginning of time', async () => {
    const authority = await MeshAuthority.create(MESH, { clock: new FakeClock(0), random: systemRandom });
    const { certificate } = await member(authority, HUB);
    expect(MeshCertificate.parse(certificate.der).notBefore).to.equal(0);
  });
});
