// Files that are replaced whole or not at all.
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { writeFileDurably } from '../../../src/kernel/durable-file.js';

describe('durable file', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'occ-durable-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('is replaced, readable by its owner alone, and leaves nothing beside it', async () => {
    const path = join(folder, 'state');
    await writeFile(path, 'old', { mode: 0o644 });
    await writeFileDurably(path, 'new');
    expect(await readFile(path, 'utf8')).to.equal('new');
    if (process.platform !== 'win32') expect((await stat(path)).mode & 0o777).to.equal(0o600);
    expect(await readdir(folder)).to.deep.equal(['state']);
  });

  it('does not inherit the mode or content of a temporary file that a crash left', async () => {
    const path = join(folder, 'state');
    await writeFile(`${path}.tmp`, 'a longer leftover', { mode: 0o666 });
    await writeFileDurably(path, Buffer.from('new'));
    expect(await readFile(path, 'utf8')).to.equal('new');
    if (process.platform !== 'win32') expect((await stat(path)).mode & 0o777).to.equal(0o600);
  });

  it('keeps what was there when it fails', async () => {
    const path = join(folder, 'state');
    await mkdir(path);
    await writeFile(join(path, 'inside'), 'old');
    const failed = await writeFileDurably(path, 'new').catch((thrown: NodeJS.ErrnoException) => thrown);
    expect(failed).to.be.instanceOf(Error);
    expect(await readFile(join(path, 'inside'), 'utf8')).to.equal('old');
    expect(await readdir(folder)).to.deep.equal(['state']);
  });
});
