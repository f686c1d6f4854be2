// The mesh CA: a self-signed P-256 key that vouches for members. It exists in the cloud only; how it is kept on disk is
// in authority-folder.ts.
import type { webcrypto } from 'node:crypto';
import type { Clock } from '../kernel/clock.js';
import { after, type Duration, days, type EpochMs, epochMs } from '../kernel/duration.js';
import type { Random } from '../kernel/random.js';
import { MeshCertificate, parseX509, TrustBundle } from './certificates.js';
import { malformed } from './fault.js';
import { SigningKey, type VerifyKey } from './keys.js';
import { isMeshName, type MeshIdentity, type MeshRole, spiffeUri } from './spiffe.js';
import { ECDSA_SHA256, webKeyPair, webPublicKey, x509 } from './x509.js';

/** How long a member's certificate is valid unless said otherwise. */
const LEAF_VALIDITY: Duration = days(90);
/** How long the CA itself is valid. */
const CA_VALIDITY: Duration = days(3_652);
// A machine whose hardware clock runs in local time is up to 14 hours behind until it has been told the time.
const BACKDATED: Duration = days(1);

export interface AuthorityModules {
  readonly clock: Clock;
  readonly random: Random;
}

export interface IssueOptions {
  readonly identity: MeshIdentity;
  /** From a verified request (csr.ts) or a key that the caller holds. */
  readonly publicKey: VerifyKey;
  /** From now on; never beyond the CA's own. Default LEAF_VALIDITY. */
  readonly validity?: Duration;
  /** For a cloud node: names under which clients that do not know SPIFFE reach it. */
  readonly dnsNames?: readonly string[];
  /** For a cloud node: likewise, IP addresses. */
  readonly addresses?: readonly string[];
}

export class MeshAuthority {
  /** A bundle of this authority alone. */
  readonly bundle: TrustBundle;
  /** The name of the mesh. */
  readonly mesh: string;
  #issuer: Promise<Issuer> | undefined;

  private constructor(
    readonly key: SigningKey,
    /** DER. */
    readonly certificate: Buffer,
    private readonly modules: AuthorityModules,
  ) {
    this.bundle = new TrustBundle([certificate]);
    this.mesh = this.bundle.meshes[0] ?? '';
  }

  /**
   * A new authority for the mesh of this name; with `key` a new certificate for an authority's existing key, which
   * whatever that key has signed stays valid under. Faults: identity.malformed when the name cannot be one.
   */
  static async create(mesh: string, modules: AuthorityModules, key = SigningKey.generate()): Promise<MeshAuthority> {
    if (!isMeshName(mesh)) throw malformed('a mesh is named by lower-case letters, digits, dots, hyphens, underscores');
    const now = modules.clock.now();
    const keys = await webKeyPair(key);
    const certificate = await x509.X509CertificateGenerator.createSelfSigned({
      serialNumber: serialNumber(modules.random),
      // The same for the same key: a certificate made again is still the issuer of what the key signed.
      name: `CN=occ-mesh CA ${key.publicKey.keyId.toString('hex')}`,
      notBefore: new Date(Math.max(0, now - BACKDATED)),
      notAfter: new Date(after(now, CA_VALIDITY)),
      signingAlgorithm: ECDSA_SHA256,
      keys,
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
        new x509.SubjectAlternativeNameExtension([{ type: 'url', value: `spiffe://${mesh}` }]),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      ],
    });
    return new MeshAuthority(key, Buffer.from(certificate.rawData), modules);
  }

  /** The authority of a key and its certificate (DER). Faults: identity.malformed when they do not belong together. */
  static restore(key: SigningKey, certificate: Buffer, modules: AuthorityModules): MeshAuthority {
    if (!parseX509(certificate).checkPrivateKey(key.keyObject)) {
      throw malformed('the key and the certificate of the mesh CA do not belong together');
    }
    return new MeshAuthority(key, certificate, modules);
  }

  /** A certificate for a member. Faults: identity.malformed when this authority does not issue such. */
  async issue(options: IssueOptions): Promise<MeshCertificate> {
    const { identity, publicKey, validity = LEAF_VALIDITY, dnsNames = [], addresses = [] } = options;
    if (identity.mesh !== this.mesh) throw malformed(`this authority is that of the mesh ${this.mesh}`);
    if (identity.role !== 'cloud' && dnsNames.length + addresses.length > 0) {
      throw malformed('only cloud nodes have names and addresses in their certificates');
    }
    const now = this.modules.clock.now();
    const subjectKey = await webPublicKey(publicKey);
    this.#issuer ??= issuerOf(this.key, this.certificate);
    const issuer = await this.#issuer;
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: serialNumber(this.modules.random),
      subject: `CN=${identity.role} ${identity.machineId}`,
      issuer: issuer.name,
      // A short one must not be due for renewal before it begins.
      notBefore: new Date(Math.max(0, now - Math.min(BACKDATED, validity))),
      notAfter: new Date(Math.min(after(now, validity), issuer.notAfter)),
      publicKey: subjectKey,
      signingKey: issuer.signingKey,
      signingAlgorithm: ECDSA_SHA256,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension(purposes(identity.role)),
        new x509.SubjectAlternativeNameExtension([
          { type: 'url', value: spiffeUri(identity) },
          ...dnsNames.map((value) => ({ type: 'dns', value }) as const),
          ...addresses.map((value) => ({ type: 'ip', value }) as const),
        ]),
        await x509.SubjectKeyIdentifierExtension.create(subjectKey),
        issuer.identifier,
      ],
    });
    return MeshCertificate.parse(Buffer.from(certificate.rawData));
  }
}

/** What is the same in everything that an authority issues; parsing it each time would take longer than signing. */
interface Issuer {
  readonly name: x509.Name;
  readonly notAfter: EpochMs;
  readonly identifier: x509.AuthorityKeyIdentifierExtension;
  readonly signingKey: webcrypto.CryptoKey;
}

async function issuerOf(key: SigningKey, certificate: Buffer): Promise<Issuer> {
  const { subjectName: name, notAfter } = new x509.X509Certificate(certificate);
  const { privateKey: signingKey, publicKey } = await webKeyPair(key);
  const identifier = await x509.AuthorityKeyIdentifierExtension.create(publicKey);
  return { name, notAfter: epochMs(notAfter.getTime()), identifier, signingKey };
}

/** 16 random bytes, hex; the upper bits are set so that it is positive and never begins with a zero byte. */
function serialNumber(random: Random): string {
  const bytes = random.bytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes.toString('hex');
}

/** Hubs never listen; connectors and cloud nodes do. */
function purposes(role: MeshRole): string[] {
  const { clientAuth, serverAuth } = x509.ExtendedKeyUsage;
  return role === 'hub' ? [clientAuth] : [clientAuth, serverAuth];
}
