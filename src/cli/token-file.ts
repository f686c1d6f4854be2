// Enrolment tokens come in files or through standard input, and go into files. They are secrets: never in arguments,
// environments or logs, and no message here repeats one.
import { open, rm } from 'node:fs/promises';
import type { EnrollmentToken } from '../../gen/occmesh/enrollment/v1/enrollment.js';
import { parseEnrollmentToken } from '../identity/token-text.js';
import type { Logger } from '../kernel/log.js';
import { systemCode } from '../kernel/system-error.js';
import { CliFault } from './fault.js';
import type { Terminal } from './terminal.js';

const MAX_BYTES = 65_536;

/**
 * The token in a file, or from standard input for `-`; undefined when no file was named or it is not there (a machine
 * that is a member needs none, and whoever enrolled it may have deleted the file). Faults: cli.config, identity.bad-token.
 */
export async function readTokenFile(
  path: string | undefined,
  terminal: Terminal,
  log: Logger,
): Promise<EnrollmentToken | undefined> {
  if (path === undefined) return undefined;
  if (path === '-') return parseEnrollmentToken(await terminal.readStdin(MAX_BYTES));
  try {
    await using file = await open(path, 'r');
    const { mode, size } = await file.stat();
    if (size > MAX_BYTES) throw notAToken();
    if (terminal.platform !== 'win32' && (mode & 0o077) !== 0) {
      log.warn({ file: path }, 'the token file can be read by others: chmod 600, and delete it after enrolling');
    }
    return parseEnrollmentToken(await file.readFile('utf8'));
  } catch (thrown) {
    const code = systemCode(thrown);
    // The path is not repeated: it may be the token itself, given where the file belongs.
    if (code === 'ENOENT') {
      if (looksLikeToken(path)) throw notAToken();
      log.warn('the token file does not exist; it is needed for enrolling only');
      return undefined;
    }
    if (code === 'ENAMETOOLONG') throw notAToken();
    if (code === 'EACCES' || code === 'EISDIR') {
      throw new CliFault('cli.config', 'the token file cannot be read', {
        cause: thrown,
        advice: 'Check that it is a file, and that the user who runs this may read it.',
      });
    }
    throw thrown;
  }
}

const looksLikeToken = (path: string): boolean => /(^|[\\/])occ\d+\.[A-Za-z0-9_-]{40,}$/.test(path);

const notAToken = (): CliFault =>
  new CliFault('cli.config', '--token-file takes the name of a file that holds the token', {
    advice: 'If the token itself was given: write it to a file with mode 0600, or use - and standard input.',
  });

/**
 * Makes a new file of mode 0600, lets `make` find its content, writes it and resolves with what `make` returned. The
 * file is there first, so that no token is made that cannot be kept. Faults: cli.refused.
 */
export async function writeNewSecret<T extends { readonly text: string }>(
  path: string,
  make: () => Promise<T>,
): Promise<T> {
  const file = await open(path, 'wx', 0o600).catch((cause: NodeJS.ErrnoException) => {
    const why = cause.code === 'EEXIST' ? 'exists already' : 'cannot be written';
    throw new CliFault('cli.refused', `${path} ${why}`, { cause, advice: 'Choose another file.' });
  });
  try {
    const made = await make();
    await file.writeFile(`${made.text}\n`);
    await file.sync();
    return made;
  } catch (thrown) {
    await rm(path, { force: true });
    throw thrown;
  } finally {
    await file.close();
  }
}
