// Files with secrets, the authority's folder, and the machine's fingerprint.
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { openAuthority } from '../../../src/identity/authority-folder.js';
import { IdentityFault } from '../../../src/identity/fault.js';
import { isMissing, readSecretFile, writeFileDurably, writeSecretFile } from '../../../src/identity/key-file.js';
import { type MachineIdReader, machineFingerprint } from '../../../src/identity/machine-id.js';
import { HUB, MESH, member, modules, newAuthority } from './fixtures.js';

const posix = process.platform !== 'win32';
const modeOf = async (path: string) => ((await stat(path)).mode & 0o777).toString(8);

async function faultOf(action: Promise<unknown>): Promise<IdentityFault> {
  const outcome = await action.catch((thrown: unknown) => thrown);
  if (outcome instanceof IdentityFault) return outcome;
  throw new Error(`no fault but ${String(outcome)}`);
}

let folder: string;
/** Inside of a suite: outside, the hooks would be those of every test of the whole run. */
function withFolder(): void {
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'occ-mesh-identity-'));
  });
  afterEach(() => rm(folder, { recursive: true }));
}

describe('durable files', () => {
  withFolder();

  it('are replaced whole, with their mode, and leave nothing behind', async () => {
    const path = join(folder, 'state');
    await writeFileDurably(path, 'first, and long', 0o644);
    await writeFileDurably(path, 'second', 0o600);
    expect(await readFile(path, 'utf8')).to.equal('second');
    if (posix) expect(await modeOf(path)).to.equal('600');
    expect(await readdir(folder)).to.deep.equal(['state']);
  });

  it('have their mode whatever the umask is', async function () {
    if (!posix) return this.skip();
    const before = process.umask(0o077);
    try {
      await writeFileDurably(join(folder, 'public'), '', 0o644);
    } finally {
      process.umask(before);
    }
    expect(await modeOf(join(folder, 'public'))).to.equal('644');
  });

  it('leave the old one alone when writing fails', async () => {
    const path = join(folder, 'state');
    await mkdir(path);
    await writeFile(join(path, 'inside'), 'kept');
    const fault = await faultOf(writeFileDurably(path, 'new', 0o600));
    expect(fault.code).to.equal('identity.file-unusable');
    expect(await readFile(join(path, 'inside'), 'utf8')).to.equal('kept');
    expect(await readdir(folder), 'no temporary file').to.deep.equal(['state']);
    expect((await faultOf(writeFileDurably(join(folder, 'none', 'x'), '', 0o600))).code).to.equal(
      'identity.file-unusable',
    );
  });
});

describe('secret files', () => {
  withFolder();

  it('are private and are read back', async () => {
    const path = join(folder, 'key');
    await writeSecretFile(path, 'hunter2');
    if (posix) expect(await modeOf(path)).to.equal('600');
    expect((await readSecretFile(path)).toString()).to.equal('hunter2');
  });

  it('are refused when others can get at them, with what to do about it', async function () {
    if (!posix) return this.skip();
    const path = join(folder, 'key');
    await writeSecretFile(path, 'hunter2');
    for (const mode of [0o640, 0o604, 0o620, 0o602, 0o610, 0o644]) {
      await chmod(path, mode);
      const fault = await faultOf(readSecretFile(path));
      expect(fault.code, mode.toString(8)).to.equal('identity.file-exposed');
      expect(fault.advice).to.contain(`chmod 600 ${path}`);
      expect(fault.message).to.contain(mode.toString(8));
    }
    await chmod(path, 0o400);
    expect((await readSecretFile(path)).toString()).to.equal('hunter2');
  });

  it('say what is missing or no file', async () => {
    const missing = await faultOf(readSecretFile(join(folder, 'none')));
    expect(missing.code).to.equal('identity.file-unusable');
    expect(isMissing(missing)).to.equal(true);
    await mkdir(join(folder, 'dir'), { mode: 0o700 });
    const directory = await faultOf(readSecretFile(join(folder, 'dir')));
    expect(directory.code).to.equal('identity.file-unusable');
    expect(isMissing(directory)).to.equal(false);
  });
});

describe("the authority's folder", () => {
  withFolder();

  it('is made once and then kept', async () => {
    const home = join(folder, 'cloud', 'ca');
    const first = await openAuthority(home, MESH, modules());
    const { certificate } = await member(first, HUB);
    if (posix) expect([await modeOf(home), await modeOf(join(home, 'ca.key'))]).to.deep.equal(['700', '600']);
    const again = await openAuthority(home, MESH, modules());
    expect(again.certificate.equals(first.certificate)).to.equal(true);
    expect(again.bundle.verify(certificate.der, modules().clock.now()).identity).to.deep.equal(HUB);
    expect((await member(again, HUB)).certificate.identity).to.deep.equal(HUB);
  });

  it('survives a creation that was cut short', async () => {
    const first = await openAuthority(folder, MESH, modules());
    const { certificate } = await member(first, HUB);
    await unlink(join(folder, 'ca.crt'));
    const again = await openAuthority(folder, MESH, modules());
    expect(again.key.publicKey.equals(first.key.publicKey)).to.equal(true);
    expect(again.bundle.verify(certificate.der, modules().clock.now()).identity).to.deep.equal(HUB);
  });

  it('is never overwritten when its key is lost', async () => {
    await openAuthority(folder, MESH, modules());
    const before = await readFile(join(folder, 'ca.crt'), 'utf8');
    await unlink(join(folder, 'ca.key'));
    const fault = await faultOf(openAuthority(folder, MESH, modules()));
    expect(fault.code).to.equal('identity.file-unusable');
    expect(fault.advice).to.contain('backup');
    expect(await readFile(join(folder, 'ca.crt'), 'utf8')).to.equal(before);
    expect(await readdir(folder)).to.deep.equal(['ca.crt']);
  });

  it('is refused when it is not sound', async () => {
    await openAuthority(folder, MESH, modules());
    expect((await faultOf(openAuthority(folder, 'other.example', modules()))).code).to.equal('identity.malformed');
    if (posix) {
      await chmod(join(folder, 'ca.key'), 0o644);
      expect((await faultOf(openAuthority(folder, MESH, modules()))).code).to.equal('identity.file-exposed');
    }
    await writeSecretFile(join(folder, 'ca.key'), (await newAuthority()).key.toPem());
    expect((await faultOf(openAuthority(folder, MESH, modules()))).code).to.equal('identity.malformed');
    await writeFile(join(folder, 'ca.crt'), 'no certificate');
    expect((await faultOf(openAuthority(folder, MESH, modules()))).code).to.equal('identity.malformed');
  });
});

describe('the fingerprint of a machine', () => {
  withFolder();

  const ID = '0123456789abcdef0123456789abcdef';
  // printf 'occ-mesh/machine-id/v1\0000123456789abcdef0123456789abcdef' | sha256sum
  const FINGERPRINT = '36af73cbd630d9110d1c46e1f26b0aa8f201f6e3fff4b3ca18dce5ccee345afc';
  const reader = (platform: NodeJS.Platform, files: Record<string, string> = {}, output?: string): MachineIdReader => ({
    platform,
    readFile: async (path) => files[path],
    run: async () => output,
  });

  it('is the digest of what the operating system says', async () => {
    const windows = `\r\nHKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Cryptography\r\n    MachineGuid    REG_SZ    01234567-89AB-CDEF-0123-456789abcdef\r\n\r\n`;
    const mac =
      '+-o J316sAP  <class IOPlatformExpertDevice>\n  "IOPlatformUUID" = "01234567-89AB-CDEF-0123-456789ABCDEF"\n';
    const readers = [
      reader('linux', { '/etc/machine-id': `${ID}\n` }),
      reader('linux', { '/var/lib/dbus/machine-id': ID }),
      reader('linux', { '/etc/machine-id': 'uninitialized\n', '/var/lib/dbus/machine-id': ID }),
      reader('win32', {}, windows),
      reader('darwin', {}, mac),
    ];
    for (const one of readers) expect(await machineFingerprint(one)).to.equal(FINGERPRINT);
  });

  it('differs between machines', async () => {
    const other = reader('linux', { '/etc/machine-id': ID.replace('0', '1') });
    expect(await machineFingerprint(other))
      .to.match(/^[0-9a-f]{64}$/)
      .and.not.equal(FINGERPRINT);
  });

  it('is absent where there is no id', async () => {
    const readers = [
      reader('linux'),
      reader('linux', { '/etc/machine-id': '' }),
      reader('linux', { '/etc/machine-id': '0'.repeat(32) }),
      reader('win32'),
      reader('win32', {}, 'ERROR: The system was unable to find the specified registry key'),
      reader('darwin', {}, '{}'),
    ];
    for (const one of readers) expect(await machineFingerprint(one)).to.equal(undefined);
  });

  it('can be asked of this machine', async () => {
    const fingerprint = await machineFingerprint();
    expect(fingerprint === undefined || /^[0-9a-f]{64}$/.test(fingerprint)).to.equal(true);
  });
});
