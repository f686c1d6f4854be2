// Restore and repair that were cut short at any step, and what they must not touch.
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { createBackup } from '../../../../src/cloud/backup/create.js';
import { finishRestore, RESTORED, RestoreFault, repair, restore } from '../../../../src/cloud/backup/restore.js';
import { systemClock } from '../../../../src/kernel/clock.js';
import { silentLogger } from '../../../../src/kernel/log.js';
import { LevelStore } from '../../../../src/storage/level.js';

const modules = { clock: systemClock, log: silentLogger };
const quiet = (): void => undefined;
const KEY = Buffer.alloc(20, 0x21);

describe('restore and repair', () => {
  let root: string;
  let data: string;
  let backup: string;

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'restore-'));
    data = join(root, 'cloud');
    backup = join(root, 'backup');
    await mkdir(join(data, 'ca'), { recursive: true });
    await writeFile(join(data, 'ca', 'ca.crt'), 'this mesh');
    await writeFile(join(data, 'revoked.log'), 'early\n');
    await writeFile(join(data, 'operator.token'), 'early', { mode: 0o600 });
    await writeFile(join(data, 'notify.key'), 'of webhooks', { mode: 0o600 });
    await put('store', 'early');
    const store = await LevelStore.open({ directory: join(data, 'store') }, modules);
    await createBackup(
      { directory: data, target: backup, signal: new AbortController().signal },
      { ...modules, store },
      quiet,
    );
    await store.stop();
    await put('store', 'late');
    await writeFile(join(data, 'revoked.log'), 'early\nlate\n');
    await writeFile(join(data, 'operator.token'), 'late', { mode: 0o600 });
  });
  afterEach(() => rm(root, { recursive: true }));

  async function put(folder: string, value: string, key = KEY): Promise<void> {
    const store = await LevelStore.open({ directory: join(data, folder) }, modules);
    await store.commit(() => [{ put: key, value: Buffer.from(value) }]);
    await store.stop();
  }

  async function held(key = KEY): Promise<string | undefined> {
    const store = await LevelStore.open({ directory: join(data, 'store') }, modules);
    try {
      return (await store.get(key))?.toString();
    } finally {
      await store.stop();
    }
  }

  const codeOf = (promise: Promise<unknown>): Promise<string> =>
    promise.then(
      () => 'done',
      (thrown) => (thrown instanceof RestoreFault ? thrown.code : String(thrown)),
    );

  it('puts the backup in place, keeps what was there, and takes no revocation back', async () => {
    const { setAside } = await restore({ from: backup, directory: data }, modules, quiet);
    expect(await held()).to.equal('early');
    expect(setAside).to.match(/store\.damaged-/);
    expect(await readFile(join(data, 'revoked.log'), 'utf8')).to.contain('late');
    // Of a token that was made later the restored store does not know.
    expect(await readFile(join(data, 'operator.token'), 'utf8')).to.equal('early');
    expect(await readdir(data)).to.include(RESTORED);
  });

  it('brings the keys along into a new directory, secret as they were, so that receivers still know the cloud', async () => {
    const fresh = join(root, 'fresh');
    await restore({ from: backup, directory: fresh }, modules, quiet);
    expect(await readFile(join(fresh, 'notify.key'), 'utf8')).to.equal('of webhooks');
    expect((await stat(join(fresh, 'notify.key'))).mode & 0o777).to.equal(0o600);
  });

  it('begins anew when it was cut short before its copy was complete', async () => {
    const stale = Buffer.alloc(20, 0x22);
    await put('store.filling', 'half', stale);
    await finishRestore(data, modules);
    expect(await held()).to.equal('late');
    await restore({ from: backup, directory: data }, modules, quiet);
    expect([await held(), await held(stale)]).to.deep.equal(['early', undefined]);
  });

  it('is finished by whoever comes next when it was cut short after that', async () => {
    // Before the old store was set aside.
    await put('store.ready', 'restored');
    await finishRestore(data, modules);
    expect(await held()).to.equal('restored');
    // In between: nothing is in its place.
    await rm(join(data, RESTORED));
    await rename(join(data, 'store'), join(data, 'store.ready'));
    await finishRestore(data, modules);
    expect(await held()).to.equal('restored');
    expect(await readdir(data)).to.include(RESTORED);
    // And not once more.
    await rm(join(data, RESTORED));
    await finishRestore(data, modules);
    expect(await readdir(data)).to.not.include(RESTORED);
  });

  it('does not touch a cloud that runs, another mesh, or a store that is in order', async () => {
    const store = await LevelStore.open({ directory: join(data, 'store') }, modules);
    expect(await codeOf(restore({ from: backup, directory: data }, modules, quiet))).to.equal('restore.running');
    expect(await codeOf(repair({ directory: data, force: true }, modules, quiet))).to.equal('restore.running');
    await store.stop();
    expect(await codeOf(repair({ directory: data, force: false }, modules, quiet))).to.equal('restore.nothing-damaged');
    await rm(join(backup, 'backup.json'));
    expect(await codeOf(restore({ from: backup, directory: data }, modules, quiet))).to.equal('restore.no-backup');
    expect(await codeOf(repair({ directory: root, force: true }, modules, quiet))).to.equal('restore.nothing-damaged');
    expect(await held()).to.equal('late');
    expect((await readdir(data)).filter((name) => name.startsWith('store'))).to.deep.equal(['store']);
  });

  it('refuses a backup of another mesh', async () => {
    await writeFile(join(data, 'ca', 'ca.crt'), 'another mesh');
    expect(await codeOf(restore({ from: backup, directory: data }, modules, quiet))).to.equal('restore.other-mesh');
    expect(await held()).to.equal('late');
  });
});
