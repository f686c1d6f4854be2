// `make demo`: starts a mesh on this machine and tells its story. Unattended with DEMO_SECONDS=n: ends after about n
// seconds with one line of JSON on standard output, and exit code 0 only if nothing was lost or counted twice.
import { join, relative } from 'node:path';
import { systemClock as clock, sleep } from '../kernel/clock.js';
import { milliseconds, seconds } from '../kernel/duration.js';
import { describe } from '../kernel/fault.js';
import { openGuardedPage } from './guarded-page.js';
import { LocalMesh } from './mesh.js';
import { ownFolder } from './own-folder.js';
import { Story } from './story.js';
import { View } from './view.js';

const HUBS = 2;
/** Below it one folder for each demo that runs, named by its process. */
const FOLDERS = join(process.cwd(), '.demo');

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
  const directory = await ownFolder(FOLDERS);
  const view = new View(process.stderr, () => clock.now());

  view.tell('starting a cloud');
  const mesh = await LocalMesh.start(
    {
      directory,
      hubs: HUBS,
      interface: process.env.DEMO_INTERFACE ?? 'lo',
      ssdpPort: 1900,
      fallbackAfter: seconds(3),
      heartbeat: seconds(1),
    },
    clock,
  );
  const page = await openGuardedPage();
  try {
    const story = new Story(mesh, view, page, clock, quit.signal);
    const watching = story.watch();
    try {
      const summary = await story.tell(HUBS, total);
      process.stdout.write(`${JSON.stringify(summary)}\n`);
      const good =
        summary.lost === 0 &&
        summary.duplicated === 0 &&
        summary.altered === 0 &&
        summary.readings_durable > 0 &&
        summary.alarms_for_connector === 1 &&
        summary.guarded_page === 'OK';
      view.tell(
        good
          ? 'the end: nothing lost, nothing counted twice, one alarm for one cause'
          : 'the end: NOT what was promised',
      );
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
    await page.stop();
    await mesh.stop();
  }
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (thrown) => {
    const logs = join(relative(process.cwd(), FOLDERS), String(process.pid), 'logs');
    const what = quit.signal.aborted
      ? 'interrupted; nothing is left running.'
      : `${describe(thrown)}\n  The logs are in ${logs}.`;
    process.stderr.write(`demo: ${what}\n`);
    process.exitCode = quit.signal.aborted ? 130 : 1;
  },
);
