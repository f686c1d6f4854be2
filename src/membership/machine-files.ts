// A machine's membership on its disk, one directory per identity:
//   identity.key  P-256 private key, PEM, 0600      written first, before anybody hears of it
//   sealing.key   X25519 private key, PEM, 0600     (hubs only) made anew when it is lost: secrets are entered again
//   identity.crt  the certificate, PEM              replaced by each renewal
//   ca.crt        the mesh CA bundle, PEM
//   machine.json  who and where (below)             written last: without it there is no membership
// Each file is replaced atomically, so a crash leaves either a membership or keys that the next try uses again.

import { readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { certificatesInPem, MeshCertificate, TrustBundle } from '../identity/certificates.js';
import { IdentityFault } from '../identity/fault.js';
import { openKeyFile, readSecretFile, writeFileDurably } from '../identity/key-file.js';
import { SigningKey } from '../identity/keys.js';
import { machineFingerprint } from '../identity/machine-id.js';
import { SealingKeyPair } from '../identity/sealing-keys.js';
import { toError } from '../kernel/fault.js';
import { makePrivateDirectory } from '../kernel/private-directory.js';
import { undefinedIfMissing } from '../kernel/system-error.js';
import { MembershipFault } from './fault.js';

const RECORD = z.object({
  v: z.literal(1),
  /** host:port of the cloud. */
  cloud: z.string(),
  /** The cloud's enrolment key, base64: renewals are sealed to it. */
  enrollmentKey: z.string(),
  /** SHA-256 of the operating system's machine id, hex; empty where there is none. */
  fingerprint: z.string(),
  enrolledAt: z.string(),
  /** Connectors (host:port) that the token named. */
  connectors: z.array(z.string()),
});

export type MachineRecord = z.infer<typeof RECORD>;

export interface MachineKeys {
  readonly identity: SigningKey;
  readonly sealing: SealingKeyPair;
}

export interface Membership extends MachineKeys {
  readonly directory: string;
  readonly certificate: MeshCertificate;
  readonly trust: TrustBundle;
  readonly record: MachineRecord;
}

const EMPTY = new Uint8Array(0);

/** The keys of `directory`, made now if there are none: a repeated enrolment uses the same ones. */
export async function ensureKeys(directory: string): Promise<MachineKeys> {
  await makePrivateDirectory(directory);
  return {
    identity: await openKeyFile(join(directory, 'identity.key'), SigningKey),
    sealing: await openKeyFile(join(directory, 'sealing.key'), SealingKeyPair),
  };
}

/** Writes a membership down; the record last. */
export async function saveMembership(
  directory: string,
  certificate: MeshCertificate,
  trust: TrustBundle,
  record: MachineRecord,
): Promise<void> {
  await saveCertificate(directory, certificate);
  await writeFileDurably(join(directory, 'ca.crt'), trust.pems.join(''), 0o644);
  await writeFileDurably(join(directory, 'machine.json'), `${JSON.stringify(record, undefined, 2)}\n`, 0o644);
}

export async function saveCertificate(directory: string, certificate: MeshCertificate): Promise<void> {
  await writeFileDurably(join(directory, 'identity.crt'), certificate.pem, 0o644);
}

/** A membership without what secrets need. */
export type MemberIdentity = Omit<Membership, 'sealing'>;

/**
 * Reads a membership; undefined when there is none yet. `fingerprint` is this machine's, if it has one.
 * Faults: membership.damaged, membership.other-machine; identity faults of its files.
 */
export async function loadMembership(
  directory: string,
  fingerprint: string | undefined,
): Promise<Membership | undefined> {
  const member = await readMembership(directory, fingerprint);
  return member && { ...member, sealing: await usable(directory, () => openSealingKey(directory)) };
}

/** As loadMembership, and leaves the directory as it is. */
export async function readMembership(
  directory: string,
  fingerprint: string | undefined,
): Promise<MemberIdentity | undefined> {
  const text = await readFile(join(directory, 'machine.json'), 'utf8').catch(undefinedIfMissing);
  if (text === undefined) return undefined;
  return await usable(directory, async () => {
    const record = RECORD.parse(JSON.parse(text));
    const [der = EMPTY] = certificatesInPem(await readFile(join(directory, 'identity.crt'), 'utf8'));
    const certificate = MeshCertificate.parse(der);
    const trust = new TrustBundle(certificatesInPem(await readFile(join(directory, 'ca.crt'), 'utf8')));
    const identity = SigningKey.fromPem((await readSecretFile(join(directory, 'identity.key'))).toString());
    if (!identity.publicKey.equals(certificate.key)) throw new Error('the certificate is for another key');
    requireSameMachine(directory, record, fingerprint);
    return { directory, record, certificate, trust, identity };
  });
}

async function usable<T>(directory: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    if (cause instanceof MembershipFault) throw cause;
    throw new MembershipFault(
      'membership.damaged',
      `the membership in ${directory} cannot be used: ${toError(cause).message}`,
      {
        cause,
        permanent: true,
        advice: 'Restore the directory, or forget this identity (occ hub reset-identity) and enrol with a new token.',
      },
    );
  }
}

/** One that is lost or damaged is no reason not to measure: the cloud learns of the new one, and asks for the secrets. */
async function openSealingKey(directory: string): Promise<SealingKeyPair> {
  const path = join(directory, 'sealing.key');
  try {
    return await openKeyFile(path, SealingKeyPair);
  } catch (thrown) {
    if (!(thrown instanceof IdentityFault) || thrown.code !== 'identity.malformed') throw thrown;
    await rename(path, `${path}.damaged`);
    return await openKeyFile(path, SealingKeyPair);
  }
}

/** The membership of this machine in `directory`. Faults: membership.missing; those of loadMembership. */
export async function requireMembership(directory: string): Promise<Membership> {
  const membership = await loadMembership(directory, await machineFingerprint());
  if (membership) return membership;
  throw new MembershipFault('membership.missing', `${directory}: not a member of any mesh yet`, {
    permanent: true,
    advice: 'Start it once with --token-file FILE ("occ tokens create" makes the file).',
  });
}

function requireSameMachine(directory: string, record: MachineRecord, fingerprint: string | undefined): void {
  if (record.fingerprint === '' || fingerprint === undefined || record.fingerprint === fingerprint) return;
  throw new MembershipFault(
    'membership.other-machine',
    `${directory} belongs to another machine (a copied disk or a cloned VM)`,
    {
      permanent: true,
      advice: 'Run "occ hub reset-identity" here and enrol this machine with a token of its own.',
    },
  );
}

/** Forgets who this machine is: keys, certificate, record. What else the directory holds stays. */
export async function forgetMembership(directory: string): Promise<void> {
  for (const name of [
    'machine.json',
    'identity.crt',
    'ca.crt',
    'identity.key',
    'sealing.key',
    'sealing.next.key',
    'secrets.json',
  ]) {
    await rm(join(directory, name), { force: true });
  }
}
