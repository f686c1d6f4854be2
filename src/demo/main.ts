// `make demo`: starts a mesh on this machine and tells its story. Unattended with DEMO_SECONDS=n: ends after about n
// seconds with one line of JSON on standard output, and exit code 0 only if nothing was lost or counted twice.
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { systemClock as clock, sleep } from '../kernel/clock.js';
import { milliseconds, seconds } from '../kernel/duration.js';
import { describe } from '../kernel/fault.js';
import { systemCode } from '../kernel/system-error.js';
import { LocalMesh } from './mesh.js';
import { Story } from './story.js';
import { View } from './view.js';

const HUBS = 2;
/** Below it one folder for each demo that runs, named by its process. */
const FOLDERS = join(process.cwd(), '.demo');
const OWN_FOLDER = join(FOLDERS, String(process.pid));

const quit = new AbortController();
// Ctrl-C reaches the roles, too: that they end then is no failure. The second signal does not wait.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    if (quit.signal.aborted) process.exit(130);
    quit.abort(new Error('interrupted'));
  });
}

async function main(): Promise<number> {
  const unattended = process.env.DEMO_SECONDS;
  const total = seconds(Number(unattended ?? 120));
  if (!Number.isFinite(total) || total < 30_000) {
    process.stderr.write('DEMO_SECONDS must be a number of seconds, at least 30.\n');
    return 2;
  }
  await removeOldFolders();
  await mkdir(OWN_FOLDER, { recursive: true });
  const view = new View(process.stderr, () => clock.now());

  view.tell('starting a cloud');
  const mesh = await LocalMesh.start(
    {
      directory: OWN_FOLDER,
      hubs: HUBS,
      interface: process.env.DEMO_INTERFACE ?? 'lo',
      ssdpPort: 1900,
      fallbackAfter: seconds(3),
      heartbeat: seconds(1),
    },
    clock,
  );
  try {
    const story = new Story(mesh, view, clock, quit.signal);
    const watching = story.watch();
    try {
      const summary = await story.tell(HUBS, total);
      process.stdout.write(`${JSON.stringify(summary)}\n`);
      const good =
        summary.lost === 0 && summary.duplicated === 0 && summary.altered === 0 && summary.readings_durable > 0;
      view.tell(good ? 'the end: nothing lost, nothing counted twice' : 'the end: NOT what was promised');
      if (unattended === undefined && good && process.stderr.isTTY) {
        await story.goOn();
        await sleep(clock, milliseconds(2 ** 31 - 1), quit.signal).catch(() => undefined);
      }
      return good ? 0 : 1;
    } finally {
      story.end();
      await watching;
    }
  } finally {
    await mesh.stop();
  }
}

/** Of demos that have ended; those of others that run now stay. */
async function removeOldFolders(): Promise<void> {
  const names = await readdir(FOLDERS).catch(() => []);
  const old = names.filter((name) => !isRunning(Number(name)));
  await Promise.all(old.map((name) => rm(join(FOLDERS, name), { recursive: true, force: true })));
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (thrown) {
    // Somebody else's process.
    return systemCode(thrown) === 'EPERM';
  }
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (thrown) => {
    const logs = join(relative(process.cwd(), OWN_FOLDER), 'logs');
    const what = quit.signal.aborted
      ? 'interrupted; nothing is left running.'
      : `${describe(thrown)}\n  The logs are in ${logs}.`;
    process.stderr.write(`demo: ${what}\n`);
    process.exitCode = quit.signal.aborted ? 130 : 1;
  },
);
