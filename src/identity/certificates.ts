// Certificates of mesh members, and the bundle of authorities that vouch for them. Chains are one step long: a member's
// certificate is signed by a mesh CA itself. Issuing is in authority.ts.

import { createHash, X509Certificate } from 'node:crypto';
import { view } from '../kernel/bytes.js';
import { type EpochMs, epochMs } from '../kernel/duration.js';
import { IdentityFault, malformed } from './fault.js';
import { VerifyKey } from './keys.js';
import { type MeshIdentity, type MeshRole, parseSpiffe } from './spiffe.js';

/** A member's certificate takes about 600 bytes; nobody needs more than this. */
const MAX_CERTIFICATE = 8_192;
/** Verified certificates remembered by a bundle; about 3 KiB each. */
const REMEMBERED = 4_096;

/** Parses one DER certificate and nothing else: no PEM, nothing behind it. Faults: identity.malformed. */
export function parseX509(der: Uint8Array): X509Certificate {
  if (der.length > MAX_CERTIFICATE) throw malformed('this certificate is too long');
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(der);
  } catch (cause) {
    throw malformed('this is not a certificate', cause);
  }
  // OpenSSL stops reading where the certificate ends and accepts PEM too; one certificate must have one form.
  if (!certificate.raw.equals(der)) throw malformed('this is not one certificate in DER');
  return certificate;
}

/** The certificates in a PEM text, DER, in order; other things in it are passed over. */
export function certificatesInPem(pem: string): Buffer[] {
  const blocks = pem.matchAll(/-----BEGIN CERTIFICATE-----([\sA-Za-z0-9+/=]+)-----END CERTIFICATE-----/g);
  return [...blocks].map((block) => Buffer.from(block[1] ?? '', 'base64'));
}

/** The one URI among the subject's alternative names. Names that could confuse are quoted by Node (CVE-2021-44532). */
function uriOf(certificate: X509Certificate): string {
  const names = (certificate.subjectAltName ?? '').split(', ').filter((name) => name.startsWith('URI:'));
  if (names.length !== 1) throw malformed(`a certificate of the mesh names one identity, not ${names.length}`);
  return (names[0] ?? '').slice(4);
}

/**
 * Whose certificate this claims to be, read without parsing the rest; undefined where that is not to be seen. Anybody can
 * write that: it is for looking up what can be compared.
 */
export function claimedIdentity(der: Uint8Array): MeshIdentity | undefined {
  const bytes = view(der);
  const at = bytes.indexOf(SPIFFE);
  if (at < 1) return undefined;
  // A URI is written as its tag, its length in one byte (where it is short enough) and its text.
  const uri = bytes.toString('latin1', at, at + (bytes[at - 1] ?? 0));
  try {
    return parseSpiffe(uri);
  } catch {
    return undefined;
  }
}

const SPIFFE = Buffer.from('spiffe://');

function timeOf(text: string): EpochMs {
  const time = Date.parse(text);
  if (Number.isNaN(time)) throw malformed('the certificate has no sound validity');
  return epochMs(time);
}

function keyOf(certificate: X509Certificate): VerifyKey {
  try {
    return new VerifyKey(certificate.publicKey);
  } catch (cause) {
    throw malformed('the certificate has no sound P-256 key', cause);
  }
}

/** A member's certificate, parsed. Parsing says nothing about trust: see TrustBundle. */
export class MeshCertificate {
  #validity: Validity | undefined;

  private constructor(
    readonly der: Buffer,
    readonly identity: MeshIdentity,
    readonly key: VerifyKey,
    /** Name of the authority that it says has signed it. */
    readonly issuer: string,
    validity?: Validity,
  ) {
    this.#validity = validity;
  }

  get notBefore(): EpochMs {
    return this.#valid.notBefore;
  }

  get notAfter(): EpochMs {
    return this.#valid.notAfter;
  }

  get #valid(): Validity {
    this.#validity ??= validityOf(parseX509(this.der));
    return this.#validity;
  }

  get pem(): string {
    const lines = this.der.toString('base64').replaceAll(/.{1,64}/g, '$&\n');
    return `-----BEGIN CERTIFICATE-----\n${lines}-----END CERTIFICATE-----\n`;
  }

  /** From then on a new one should be asked for: when two thirds of its lifetime are over. */
  get renewalDue(): EpochMs {
    return epochMs(this.notBefore + ((this.notAfter - this.notBefore) * 2) / 3);
  }

  /** Faults: identity.malformed (also for a certificate of an authority, which is nobody's identity). */
  static parse(der: Uint8Array): MeshCertificate {
    return MeshCertificate.from(parseX509(der));
  }

  static from(certificate: X509Certificate): MeshCertificate {
    if (certificate.ca) throw malformed('the certificate of an authority is not the identity of a member');
    return new MeshCertificate(
      certificate.raw,
      parseSpiffe(uriOf(certificate)),
      keyOf(certificate),
      certificate.issuer,
      validityOf(certificate),
    );
  }

  /** One that was parsed before, from what is known of it. */
  static known(der: Buffer, identity: MeshIdentity, key: VerifyKey, issuer: string): MeshCertificate {
    return new MeshCertificate(der, identity, key, issuer);
  }
}

interface Validity {
  readonly notBefore: EpochMs;
  readonly notAfter: EpochMs;
}

const validityOf = (certificate: X509Certificate): Validity => ({
  notBefore: timeOf(certificate.validFrom),
  notAfter: timeOf(certificate.validTo),
});

export interface VerifyOptions {
  /** Accept what has expired: for renewal. Default false. */
  readonly allowExpired?: boolean;
  /** Accept what is not valid yet: for a machine whose own clock may be wrong (a PC that starts in 1970). Default false. */
  readonly allowNotYetValid?: boolean;
  /** The role that the member must have. */
  readonly role?: MeshRole;
}

interface Authority extends Validity {
  readonly certificate: X509Certificate;
  readonly mesh: string;
}

interface Verified {
  readonly certificate: MeshCertificate;
  readonly authority: Authority;
}

/** The mesh CAs that a member trusts, and nothing besides them. */
export class TrustBundle {
  readonly #authorities: readonly Authority[];
  // By SHA-256 of the DER; insertion order is age. Holds only what an authority here has signed; time and role are
  // looked at on every call.
  readonly #verified = new Map<string, Verified>();

  /** Faults: identity.malformed when there is none, or one of them is not a self-signed authority of a mesh. */
  constructor(caDers: readonly Uint8Array[]) {
    if (caDers.length === 0) throw malformed('there is no certificate authority to trust');
    this.#authorities = caDers.map(parseAuthority);
  }

  /** The authorities, DER. */
  get ders(): readonly Buffer[] {
    return this.#authorities.map(({ certificate }) => certificate.raw);
  }

  /** The authorities, PEM. */
  get pems(): readonly string[] {
    return this.#authorities.map(({ certificate }) => certificate.toString());
  }

  /** Whether an authority of that name is among them. The name says which key it has: see authority.ts. */
  hasAuthority(name: string): boolean {
    return this.#authorities.some(({ certificate }) => certificate.subject === name);
  }

  /** The names of the meshes they speak for; nearly always one. */
  get meshes(): readonly string[] {
    return [...new Set(this.#authorities.map(({ mesh }) => mesh))];
  }

  /**
   * The certificate, when a CA of this bundle signed it and it is valid at `at`. Says nothing about revocation.
   * Faults: identity.malformed, .untrusted, .expired, .not-yet-valid, .wrong-role.
   */
  verify(der: Uint8Array, at: EpochMs, options: VerifyOptions = {}): MeshCertificate {
    const { certificate, authority } = this.#signed(der);
    for (const [what, { notBefore, notAfter }] of [
      ['the certificate', certificate],
      ['the certificate of the mesh CA', authority],
    ] as const) {
      if (at > notAfter && !options.allowExpired) {
        throw new IdentityFault('identity.expired', `${what} expired on ${new Date(notAfter).toISOString()}`);
      }
      if (at < notBefore && !options.allowNotYetValid) {
        const advice = 'Check the clocks of both machines.';
        const message = `${what} is not valid before ${new Date(notBefore).toISOString()}`;
        throw new IdentityFault('identity.not-yet-valid', message, { advice });
      }
    }
    if (options.role !== undefined && certificate.identity.role !== options.role) {
      const message = `the certificate is that of a ${certificate.identity.role}, not of a ${options.role}`;
      throw new IdentityFault('identity.wrong-role', message, { permanent: true });
    }
    return certificate;
  }

  #signed(der: Uint8Array): Verified {
    const digest = createHash('sha256').update(der).digest('base64');
    const known = this.#verified.get(digest);
    if (known) return known;
    const parsed = parseX509(der);
    const certificate = MeshCertificate.from(parsed);
    const authority = this.#authorities.find(
      (ca) => parsed.checkIssued(ca.certificate) && parsed.verify(ca.certificate.publicKey),
    );
    if (!authority || authority.mesh !== certificate.identity.mesh) {
      throw new IdentityFault('identity.untrusted', 'the certificate was not issued by the CA of this mesh', {
        permanent: true,
      });
    }
    const verified = { certificate, authority };
    this.#verified.set(digest, verified);
    if (this.#verified.size > REMEMBERED) {
      for (const oldest of this.#verified.keys()) {
        this.#verified.delete(oldest);
        break;
      }
    }
    return verified;
  }
}

const AUTHORITY_URI = /^spiffe:\/\/([a-z0-9._-]{1,255})$/;

function parseAuthority(der: Uint8Array): Authority {
  const certificate = parseX509(der);
  const mesh = AUTHORITY_URI.exec(uriOf(certificate))?.[1];
  const sound = certificate.ca && certificate.checkIssued(certificate) && certificate.verify(certificate.publicKey);
  if (!sound || mesh === undefined) throw malformed('this is not the certificate of a mesh CA');
  keyOf(certificate); // Faults unless P-256.
  return { certificate, mesh, ...validityOf(certificate) };
}
