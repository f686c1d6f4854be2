// The mesh CA on disk: <folder>/ca.key (PKCS #8 PEM, mode 0600), written first; <folder>/ca.crt (PEM).
// A key without a certificate is a creation that was cut short: the certificate is made again for the same key. A
// certificate without a key is a lost key: only a backup helps, and nothing is overwritten.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makePrivateDirectory } from '../kernel/private-directory.js';
import { type AuthorityModules, MeshAuthority } from './authority.js';
import { certificatesInPem } from './certificates.js';
import { IdentityFault, malformed } from './fault.js';
import { isMissing, readSecretFile, writeFileDurably, writeSecretFile } from './key-file.js';
import { SigningKey } from './keys.js';

const KEY = 'ca.key';
const CERTIFICATE = 'ca.crt';

/**
 * The authority of a folder; created and saved at the first call. The folder is made with mode 0700 when it is missing.
 * Faults: identity.malformed (also when it is that of another mesh), identity.file-exposed, identity.file-unusable.
 */
export async function openAuthority(folder: string, mesh: string, modules: AuthorityModules): Promise<MeshAuthority> {
  const [key, certificate] = [await readKey(folder), await readCertificate(folder)];
  if (certificate === undefined) {
    const authority = await MeshAuthority.create(mesh, modules, key);
    await saveAuthority(folder, authority);
    return authority;
  }
  const authority = restore(folder, key, certificate, modules);
  if (authority.mesh !== mesh) {
    throw malformed(`the authority in ${folder} is that of the mesh ${authority.mesh}, not of ${mesh}`);
  }
  return authority;
}

/** Writes both files, replacing what is there. Faults: identity.file-unusable. */
async function saveAuthority(folder: string, authority: MeshAuthority): Promise<void> {
  try {
    await makePrivateDirectory(folder);
  } catch (cause) {
    throw new IdentityFault('identity.file-unusable', `cannot make ${folder}`, { cause });
  }
  await writeSecretFile(join(folder, KEY), authority.key.toPem());
  await writeFileDurably(join(folder, CERTIFICATE), authority.bundle.pems.join(''), 0o644);
}

function restore(
  folder: string,
  key: SigningKey | undefined,
  certificate: Buffer,
  modules: AuthorityModules,
): MeshAuthority {
  if (key) return MeshAuthority.restore(key, certificate, modules);
  throw new IdentityFault('identity.file-unusable', `${folder} has ${CERTIFICATE} but no ${KEY}`, {
    permanent: true,
    advice: `Put ${KEY} back from a backup.`,
  });
}

async function readKey(folder: string): Promise<SigningKey | undefined> {
  let bytes: Buffer;
  try {
    bytes = await readSecretFile(join(folder, KEY));
  } catch (thrown) {
    if (isMissing(thrown)) return undefined;
    throw thrown;
  }
  try {
    return SigningKey.fromPem(bytes.toString());
  } finally {
    bytes.fill(0);
  }
}

async function readCertificate(folder: string): Promise<Buffer | undefined> {
  const path = join(folder, CERTIFICATE);
  let pem: string;
  try {
    pem = await readFile(path, 'utf8');
  } catch (cause) {
    if (isMissing(cause)) return undefined;
    throw new IdentityFault('identity.file-unusable', `cannot read ${path}`, { cause });
  }
  const [certificate, ...more] = certificatesInPem(pem);
  if (!certificate || more.length > 0) throw malformed(`${path} does not hold one certificate in PEM`);
  return certificate;
}
