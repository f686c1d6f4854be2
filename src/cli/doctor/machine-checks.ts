// What the doctor looks at on the machine itself: its certificate, its disk, and who may read its keys.
import { mkdtemp, open, readdir, rm, rmdir, stat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { formatDuration, milliseconds } from '../../kernel/duration.js';
import { describe } from '../../kernel/fault.js';
import { systemCode } from '../../kernel/system-error.js';
import { type CheckModules, type Finding, failed, ok, skipped, warning } from './finding.js';
import type { Patient } from './patient.js';

const MIB = 1024 ** 2;
/** A hub's log may grow to a GiB; what is less will do for a while. */
const LITTLE = 1_024 * MIB;
const TOO_LITTLE = 64 * MIB;

const day = (ms: number): string => new Date(ms).toISOString().slice(0, 16).replace('T', ' ');

export async function certificateChecks({ member }: Patient, { clock }: CheckModules): Promise<readonly Finding[]> {
  const check = 'certificate';
  if (!member) return [skipped(check, 'not enrolled yet')];
  const { notBefore, notAfter, renewalDue } = member.certificate;
  const now = clock.now();
  const clocks = 'If the date of this machine is right, start the service: it renews an expired certificate, too.';
  if (now > notAfter) return [failed(check, `expired on ${day(notAfter)} UTC`, clocks)];
  if (now < notBefore)
    return [warning(check, `not valid before ${day(notBefore)} UTC`, 'Set the clock of this machine.')];
  const left = formatDuration(milliseconds(notAfter - now));
  // The service renews it when two thirds are over; a tenth more says that it has tried in vain.
  if (now > renewalDue + (notAfter - notBefore) / 10) {
    return [
      warning(
        check,
        `good for ${left} only: it should have been renewed`,
        'Look into the log of the service for why it was not.',
      ),
    ];
  }
  return [ok(check, `matches its key, good for ${left}`)];
}

export async function diskChecks({ data }: Patient): Promise<readonly Finding[]> {
  const [at, exists] = await nearest(data);
  return [await spaceIn(at), exists ? await writable(data) : await creatable(data, at)];
}

/** The directory itself, or the nearest above it that there is. */
async function nearest(path: string): Promise<readonly [string, boolean]> {
  for (let at = path; ; at = dirname(at)) {
    const found = await stat(at).catch(() => undefined);
    if (found || dirname(at) === at) return [at, at === path];
  }
}

async function spaceIn(directory: string): Promise<Finding> {
  const { bavail, bsize } = await statfs(directory);
  const free = bavail * bsize;
  const seen = `${free >= 10 * 1_024 * MIB ? `${Math.floor(free / MIB / 1_024)} GiB` : `${Math.floor(free / MIB)} MiB`} free at ${directory}`;
  if (free < TOO_LITTLE) return failed('disk', seen, 'Make space: what is measured is written there first.');
  if (free < LITTLE)
    return warning('disk', seen, 'Make space, or bound the log: while the cloud is away it may grow to 1 GiB.');
  return ok('disk', seen);
}

/** Tried, and not only asked: a disk may be full or read-only whatever the permissions say. */
async function writable(data: string): Promise<Finding> {
  const path = join(data, `.doctor-${process.pid}`);
  try {
    const file = await open(path, 'wx', 0o600);
    try {
      await file.write(Buffer.alloc(4_096));
      await file.sync();
    } finally {
      await file.close();
    }
    return ok('data directory', `${data} can be written`);
  } catch (thrown) {
    return failed('data directory', `${data} cannot be written: ${describe(thrown)}`, adviceFor(thrown));
  } finally {
    await rm(path, { force: true }).catch(() => undefined);
  }
}

async function creatable(data: string, at: string): Promise<Finding> {
  try {
    if (!(await stat(at)).isDirectory()) throw new Error(`${at} is no directory`);
    await rmdir(await mkdtemp(join(at, '.doctor-')));
    return ok('data directory', `${data} does not exist yet, and can be made`);
  } catch (thrown) {
    return failed('data directory', `${data} cannot be made: ${describe(thrown)}`, adviceFor(thrown));
  }
}

function adviceFor(thrown: unknown): string {
  switch (systemCode(thrown)) {
    case 'EACCES':
    case 'EPERM':
      return 'Run this as the user of the service, or give the directory to it.';
    case 'ENOSPC':
    case 'EDQUOT':
      return 'Make space on the disk.';
    case 'EROFS':
      return 'The disk is read-only: look into the kernel log for why, or mount it anew.';
    default:
      return 'Name another directory with --data.';
  }
}

/** Every file of the data directory that holds a key, two levels deep. */
export async function keyFileChecks({ data }: Patient, { platform }: CheckModules): Promise<readonly Finding[]> {
  const check = 'key files';
  if (platform === 'win32') return [skipped(check, 'access lists are not looked at on Windows')];
  const folders = [data, join(data, 'connector'), join(data, 'hub')];
  const files = (
    await Promise.all(
      folders.map(async (folder) => {
        const names = await readdir(folder).catch(() => []);
        return names.filter((name) => name.endsWith('.key')).map((name) => join(folder, name));
      }),
    )
  ).flat();
  if (files.length === 0) return [skipped(check, 'there are none yet')];
  const owner = (await stat(data)).uid;
  const findings = await Promise.all(
    files.map(async (file): Promise<Finding[]> => {
      const { mode, uid } = await stat(file);
      const rights = (mode & 0o777).toString(8).padStart(4, '0');
      if ((mode & 0o077) !== 0)
        return [
          failed(
            check,
            `${file} can be used by others (${rights})`,
            `chmod 600 ${file}; replace the key if others could have read it.`,
          ),
        ];
      if (uid !== owner)
        return [failed(check, `${file} belongs to user ${uid}, its directory to ${owner}`, `chown ${owner} ${file}`)];
      return [];
    }),
  );
  const wrong = findings.flat();
  return wrong.length > 0 ? wrong : [ok(check, `${files.length}, readable by their owner only`)];
}
