// Files that hold keys and certificates: replaced durably (kernel/durable-file.ts), secret ones readable by nobody else.
import { open } from 'node:fs/promises';
import { writeFileDurably as replaceFile } from '../kernel/durable-file.js';
import { systemCode } from '../kernel/system-error.js';
import { IdentityFault } from './fault.js';

/** Replaces `path` with `data`, durably. The folder must exist. Faults: identity.file-unusable; then the old file is untouched. */
export async function writeFileDurably(path: string, data: Uint8Array | string, mode: number): Promise<void> {
  try {
    await replaceFile(path, data, mode);
  } catch (cause) {
    throw new IdentityFault('identity.file-unusable', `cannot write ${path}`, { cause });
  }
}

/** Writes a file with mode 0600. Faults: identity.file-unusable. */
export function writeSecretFile(path: string, data: Uint8Array | string): Promise<void> {
  return writeFileDurably(path, data, 0o600);
}

/**
 * Reads a file that must be private to its owner. The caller wipes the Buffer after use where it can.
 * Faults: identity.file-exposed (others may read or write it; not checked on Windows), identity.file-unusable.
 */
export async function readSecretFile(path: string): Promise<Buffer> {
  try {
    const file = await open(path, 'r');
    try {
      const { mode } = await file.stat(); // Of the open file: what is checked is what is read.
      if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
        throw new IdentityFault(
          'identity.file-exposed',
          `${path} holds a secret, but its mode is ${(mode & 0o777).toString(8).padStart(4, '0')}`,
          { permanent: true, advice: `Run chmod 600 ${path}, and replace the secret if others could have read it.` },
        );
      }
      return await file.readFile();
    } finally {
      await file.close();
    }
  } catch (cause) {
    if (cause instanceof IdentityFault) throw cause;
    throw new IdentityFault('identity.file-unusable', `cannot read ${path}`, { cause });
  }
}

/** True when reading failed because there is no such file. */
export function isMissing(thrown: unknown): boolean {
  return systemCode(thrown instanceof IdentityFault ? thrown.cause : thrown) === 'ENOENT';
}

/** A kind of private key: SigningKey or SealingKeyPair. */
export interface KeyType<K> {
  fromPem(pem: string): K;
  generate(): K;
}

/** The key of a file, made and written at the first call. Faults: those of readSecretFile; identity.malformed. */
export async function openKeyFile<K extends { toPem(): string }>(path: string, type: KeyType<K>): Promise<K> {
  let pem: Buffer;
  try {
    pem = await readSecretFile(path);
  } catch (thrown) {
    if (!isMissing(thrown)) throw thrown;
    const key = type.generate();
    await writeSecretFile(path, key.toPem());
    return key;
  }
  try {
    return type.fromPem(pem.toString());
  } finally {
    pem.fill(0);
  }
}
