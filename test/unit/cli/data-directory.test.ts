// The data directory of a role: made, refused, and in no case waited for.
import { stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { openDataDirectory } from '../../../src/cli/data-directory.js';
import { Scope } from '../../../src/kernel/scope.js';
import { temporaryFolder } from './support.js';

describe('data directory of a role', () => {
  let scope: Scope;
  let root: string;
  beforeEach(async () => {
    scope = new Scope();
    root = await temporaryFolder(scope);
  });
  afterEach(() => scope.stop());

  const refusal = (directory: string): Promise<string> => openDataDirectory(directory).then(() => 'none', String);

  it('is made with all above it, for its owner only, and taken as it is the second time', async () => {
    const deep = join(root, 'a', 'b', 'c');
    for (let time = 0; time < 2; time++) await openDataDirectory(deep);
    for (const made of [deep, join(root, 'a')]) expect((await stat(made)).mode & 0o777).to.equal(0o700);
    await symlink(deep, join(root, 'link'));
    await openDataDirectory(join(root, 'link'));
  });

  it('is refused where there is something else, with its name', async () => {
    const file = join(root, 'file');
    await writeFile(file, '', { mode: 0o700 });
    expect(await refusal(file)).to.contain(`${file} is not a directory`);
    expect(await refusal(join(file, 'below'))).to.contain('ENOTDIR');
    await symlink(join(root, 'nothing'), join(root, 'dangling'));
    expect(await refusal(join(root, 'dangling'))).to.contain('cannot be used');
  });

  it('is refused at once where nobody can make any', async function () {
    if (process.platform !== 'linux') return this.skip();
    // Node's own recursive mkdir never comes back from here.
    for (const directory of ['/proc/occ', '/proc/occ/below'])
      expect(await refusal(directory)).to.contain('cannot be used');
  });
});
