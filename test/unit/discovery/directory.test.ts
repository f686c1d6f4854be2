// Where the hub looks for connectors, in which order, and what it keeps of it.
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { ConnectorDirectory, type DirectoryModules, MAX_ADVERTISED } from '../../../src/discovery/directory.js';
import { AddressFault, type ConnectorHint, formatAddress } from '../../../src/discovery/hint.js';
import { MAX_REMEMBERED } from '../../../src/discovery/remembered.js';
import { silentLogger } from '../../../src/kernel/log.js';

const hint = (host: string, source: ConnectorHint['source'], machineId?: string): ConnectorHint => ({
  host,
  port: 11_000,
  source,
  ...(machineId === undefined ? {} : { machineId }),
});
const heard = (host: string) => hint(host, 'ssdp', `id-${host}`);
const shown = (hints: readonly ConnectorHint[]) => hints.map((each) => `${each.source} ${each.host}`);

describe('connector directory', () => {
  let folder: string;
  let file: string;
  const never = new AbortController().signal;
  const found: ConnectorHint[] = [];
  const searcher = { search: async () => [...found] };

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'occ-directory-'));
    file = join(folder, 'connectors.json');
    found.length = 0;
  });
  afterEach(() => rm(folder, { recursive: true }));

  const open = (configured: string[] = [], modules: Partial<DirectoryModules> = { searcher }) =>
    ConnectorDirectory.open({ file, configured }, { log: silentLogger, ...modules });

  it('offers the last good one, configured, advertised, other remembered, then heard ones', async () => {
    const directory = await open(['192.0.2.1:11000', '192.0.2.2:11000']);
    directory.setAdvertised(['192.0.2.3:11000']);
    await directory.remember(heard('192.0.2.4'));
    await directory.remember(heard('192.0.2.5'));
    found.push(heard('192.0.2.6'));
    expect(shown(await directory.candidates(never))).to.deep.equal([
      'remembered 192.0.2.5',
      'configured 192.0.2.1',
      'configured 192.0.2.2',
      'advertised 192.0.2.3',
      'remembered 192.0.2.4',
      'ssdp 192.0.2.6',
    ]);
    expect(shown(directory.known())).to.have.length(5);
  });

  it('offers each address once, where it stands first', async () => {
    const directory = await open(['192.0.2.1:11000', '192.0.2.2:11000']);
    directory.setAdvertised(['192.0.2.1:11000', '192.0.2.2:11000']);
    await directory.remember(hint('192.0.2.2', 'configured', 'two'));
    found.push(heard('192.0.2.1'), heard('192.0.2.2'));
    const candidates = await directory.candidates(never);
    expect(shown(candidates)).to.deep.equal(['remembered 192.0.2.2', 'configured 192.0.2.1']);
    expect(candidates[1], 'a stranger cannot add a machine id').not.to.have.property('machineId');
  });

  it('remembers across restarts, best first, at most eight', async () => {
    const before = await open();
    for (let i = 1; i <= MAX_REMEMBERED + 2; i++) await before.remember(heard(`192.0.2.${i}`));
    await before.remember(heard('192.0.2.5'));
    const after = await open();
    expect(shown(after.known())).to.deep.equal([5, 10, 9, 8, 7, 6, 4, 3].map((i) => `remembered 192.0.2.${i}`));
    expect(after.known()[0]?.machineId).to.equal('id-192.0.2.5');
  });

  it('keeps the order when several are remembered at once', async () => {
    const directory = await open();
    await Promise.all([1, 2, 3].map((i) => directory.remember(heard(`192.0.2.${i}`))));
    expect(shown((await open()).known())).to.deep.equal(shown(directory.known()));
    expect(await readdir(folder)).to.deep.equal(['connectors.json']);
  });

  it('forgets a revoked machine, durably', async () => {
    const directory = await open();
    await directory.remember(hint('192.0.2.1', 'ssdp', 'revoked'));
    await directory.remember(hint('192.0.2.2', 'ssdp', 'good'));
    await directory.remember(hint('connector.example', 'configured', 'revoked'));
    await directory.forget('revoked');
    for (const each of [directory, await open()]) expect(shown(each.known())).to.deep.equal(['remembered 192.0.2.2']);
  });

  it('writes nothing when the same one proves right again', async () => {
    const directory = await open();
    await directory.remember(heard('192.0.2.1'));
    await rm(file);
    await directory.remember(heard('192.0.2.1'));
    expect(await readdir(folder)).to.deep.equal([]);
    await directory.remember(heard('192.0.2.2'));
    expect(await readdir(folder)).to.deep.equal(['connectors.json']);
  });

  for (const [what, content] of [
    ['cut off', '{"version":1,"connec'],
    ['of zeros', '\0'.repeat(4_096)],
    ['empty', ''],
    ['of another version', '{"version":2,"connectors":[]}'],
    ['with a bad port', '{"version":1,"connectors":[{"host":"192.0.2.1","port":99999}]}'],
    ['with a bad host', '{"version":1,"connectors":[{"host":"a b","port":1}]}'],
    ['with a bad machine id', '{"version":1,"connectors":[{"host":"192.0.2.1","port":1,"machineId":1}]}'],
    ['null', 'null'],
    ['huge', ' '.repeat(100_000)],
  ] as const) {
    it(`sets a file ${what} aside and goes on`, async () => {
      await writeFile(file, content);
      const directory = await open(['192.0.2.9:11000']);
      expect(shown(directory.known())).to.deep.equal(['configured 192.0.2.9']);
      expect(await readFile(`${file}.damaged`, 'utf8')).to.equal(content);
      await directory.remember(heard('192.0.2.1'));
      expect(shown((await open()).known())).to.deep.equal(['remembered 192.0.2.1']);
    });
  }

  it('goes on when the file can be neither read nor written', async () => {
    file = join(folder, 'no-such-folder', 'connectors.json');
    const directory = await open();
    await directory.remember(heard('192.0.2.1'));
    expect(shown(directory.known())).to.deep.equal(['remembered 192.0.2.1']);
  });

  it('refuses a wrong configured address, and leaves out a wrong advertised one', async () => {
    const refused = await open(['192.0.2.1']).catch((thrown: unknown) => thrown);
    expect(refused).to.be.instanceOf(AddressFault);
    const directory = await open();
    directory.setAdvertised(['nonsense', '192.0.2.3:11000', '']);
    expect(shown(directory.known())).to.deep.equal(['advertised 192.0.2.3']);
    directory.setAdvertised(Array.from({ length: 1_000 }, (_, i) => `host-${i}:1`));
    expect(directory.known()).to.have.length(MAX_ADVERTISED);
  });

  it('offers what it knows when the search fails, or there is none', async () => {
    const failing = { search: () => Promise.reject(new Error('no network')) };
    for (const modules of [{ searcher: failing }, {}]) {
      const directory = await open(['192.0.2.1:11000'], modules);
      expect((await directory.candidates(never)).map(formatAddress)).to.deep.equal(['192.0.2.1:11000']);
    }
  });

  it('ends with the reason of an aborted signal', async () => {
    const reason = new Error('the hub stops');
    const abort = new AbortController();
    const waiting = {
      search: (_: number, signal: AbortSignal) =>
        new Promise<never>((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(new Error('wrapped')));
          abort.abort(reason);
        }),
    };
    const directory = await open([], { searcher: waiting });
    expect(await directory.candidates(abort.signal).catch((thrown: unknown) => thrown)).to.equal(reason);
    expect(await directory.candidates(abort.signal).catch((thrown: unknown) => thrown)).to.equal(reason);
  });
});
