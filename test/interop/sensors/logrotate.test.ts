// Kind `log` while logrotate(8) is at work, by each of its ways.
import { appendFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { log } from '../../../src/sensors/kinds/log.js';
import { needs, program, run } from '../../support/programs.js';
import { metricOf, sensorOf } from '../../unit/sensors/support.js';

const LOGROTATE = '/usr/sbin/logrotate';
/** Root does not rotate in folders that others can write to, unless told as whom. */
const SU = process.geteuid?.() === 0 ? 'su root root\n' : '';

describe('logrotate', () => {
  before(async function () {
    await needs(this, [program(LOGROTATE, 'logrotate')]);
  });

  for (const way of [
    'create',
    'copytruncate',
    'create\ncompress',
    'copytruncate\ndelaycompress\ncompress',
    'nocreate',
  ]) {
    it(`${way.replaceAll('\n', ', ')}: every line counts once`, async () => {
      const folder = await realpath(await mkdtemp(join(tmpdir(), 'rotate-')));
      const path = join(folder, 'app.log');
      const sensor = sensorOf(log, { path, patterns: { error: 'ERROR' } }, { watch: { directories: [folder] } });
      const signal = new AbortController().signal;
      const count = async () => metricOf(await sensor.measure(signal), 'error/matches');
      writeFileSync(join(folder, 'conf'), `${SU}${path} {\nrotate 3\n${way}\n}\n`, { mode: 0o644 });
      writeFileSync(path, 'ERROR old\n');
      let counted = await count();
      for (let round = 1; round <= 3; round++) {
        appendFileSync(path, 'ERROR read\n');
        counted += await count();
        appendFileSync(path, 'ERROR not yet read\n');
        const rotated = await run(LOGROTATE, ['-f', '-s', join(folder, 'state'), join(folder, 'conf')]);
        expect(rotated.code, rotated.stderr).to.equal(0);
        appendFileSync(path, 'ERROR new\n');
        counted += await count();
        expect(counted).to.equal(round * 3);
      }
      await sensor.close?.();
      await rm(folder, { recursive: true, force: true });
    });
  }
});
