// The root hooks in test/support/hooks.ts do fail a suite that leaves something open, and no other.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { ROOT, run } from '../support/programs.js';

const MOCHA = join(ROOT, 'node_modules/.bin/mocha');

const SUITES = `
import { createServer } from 'node:net';
const open = (done) => createServer().listen(0, '127.0.0.1', done);
describe('tidy', () => {
  let server;
  before((done) => { server = open(done); });
  it('passes', () => {});
  after((done) => { server.close(done); });
});
describe('leaking', () => { it('passes', (done) => { open(done); }); });
describe('tidy after it', () => {
  let server;
  before((done) => { server = open(done); });
  it('passes', () => {});
  after((done) => { server.close(done); });
});
`;

describe('tests that leave something open', () => {
  it('fail, and only they', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'leaks-'));
    try {
      const file = join(directory, 'suites.mjs');
      await writeFile(file, SUITES);
      const { code, stdout, stderr } = await run(MOCHA, ['--exit', '--reporter', 'json', file]);
      const report = JSON.parse(stdout || `"${stderr}"`) as {
        stats: { passes: number };
        failures: { fullTitle: string; err: { message: string } }[];
      };
      expect(report.stats.passes).to.equal(3);
      expect(report.failures.map(({ fullTitle }) => fullTitle)).to.deep.equal([
        'leaking "after all" hook: leaves nothing open for "passes"',
      ]);
      expect(report.failures[0]?.err.message).to.contain('1 × TCPServerWrap');
      expect(code).to.not.equal(0);
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});
