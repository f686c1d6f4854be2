// Kind `log` on the real disk: every new line counts once, whatever is done to the file between two runs.
import { appendFileSync, copyFileSync, renameSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs';
import { mkdtemp, realpath, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import fc from 'fast-check';
import { State } from '../../../../gen/occmesh/telemetry/v1/telemetry.js';
import type { Sensor } from '../../../../src/sensors/kind.js';
import { log } from '../../../../src/sensors/kinds/log.js';
import { testSeed } from '../../../support/seeded-random.js';
import { metricOf, sensorOf } from '../support.js';

/** A log in a folder of its own, and a sensor that has made its first run. */
class Site implements AsyncDisposable {
  private constructor(
    readonly folder: string,
    readonly path: string,
    readonly sensor: ReturnType<typeof sensorOf>,
  ) {}

  static async make(settings: object = {}, before = 'old ERROR\n'): Promise<Site> {
    const folder = await realpath(await mkdtemp(join(tmpdir(), 'log-')));
    const path = join(folder, 'app.log');
    writeFileSync(path, before);
    const patterns = { error: 'ERROR', warning: 'WARN' };
    const sensor = sensorOf(log, { path, patterns, ...settings }, { watch: { directories: [folder] } });
    const site = new Site(folder, path, sensor);
    await site.run();
    return site;
  }

  run(signal = new AbortController().signal) {
    return this.sensor.measure(signal);
  }

  async counted(): Promise<{ lines: number; errors: number }> {
    const measured = await this.run();
    return { lines: metricOf(measured, 'lines'), errors: metricOf(measured, 'error/matches') };
  }

  append(text: string): void {
    appendFileSync(this.path, text);
  }

  async [Symbol.asyncDispose]() {
    await (this.sensor as Sensor).close?.();
    await rm(this.folder, { recursive: true, force: true });
  }
}

describe('sensors/kinds: log', () => {
  it('counts new lines by pattern; what stood there before does not count', async () => {
    await using site = await Site.make();
    expect(await site.counted()).to.deep.equal({ lines: 0, errors: 0 });
    site.append('fine\nERROR one\nWARN two\nERROR WARN three\r\n');
    const measured = await site.run();
    expect(measured.values).to.deep.equal([
      { name: 'lines', unit: '', value: 4 },
      { name: 'unread', unit: 'By', value: 0 },
      { name: 'error/matches', unit: '', value: 2 },
      { name: 'warning/matches', unit: '', value: 2 },
    ]);
    expect(measured.message).to.equal('error: ERROR WARN three');
    expect(await site.counted(), 'each once').to.deep.equal({ lines: 0, errors: 0 });
  });

  it('shows the beginning of one line at most, or none', async () => {
    await using site = await Site.make();
    site.append(`ERROR ${'x'.repeat(10_000)}\n`);
    expect((await site.run()).message).to.equal(`error: ERROR ${'x'.repeat(194)}`);
    await using silent = await Site.make({ show: false });
    silent.append('ERROR\n');
    expect(await silent.run()).to.not.have.property('message');
  });

  it('lines can be excepted', async () => {
    await using site = await Site.make({ except: 'harmless' });
    site.append('ERROR harmless\nERROR\n');
    expect(await site.counted()).to.deep.equal({ lines: 2, errors: 1 });
  });

  it('waits for the end of a line', async () => {
    await using site = await Site.make();
    site.append('ERR');
    expect(await site.counted()).to.deep.equal({ lines: 0, errors: 0 });
    site.append('OR\nERROR');
    expect(await site.counted()).to.deep.equal({ lines: 1, errors: 1 });
    site.append('\n');
    expect(await site.counted()).to.deep.equal({ lines: 1, errors: 1 });
  });

  it('renamed and created anew: the old one is read to its end, also what comes late', async () => {
    await using site = await Site.make();
    site.append('ERROR before\n');
    renameSync(site.path, `${site.path}.1`);
    writeFileSync(site.path, 'ERROR new\n');
    expect(await site.counted()).to.deep.equal({ lines: 2, errors: 2 });
    appendFileSync(`${site.path}.1`, 'ERROR late\nERROR unfinished');
    site.append('fine\n');
    expect(await site.counted()).to.deep.equal({ lines: 3, errors: 2 });
    expect(await site.counted()).to.deep.equal({ lines: 0, errors: 0 });
  });

  it('renamed, and for a while nothing in its place', async () => {
    await using site = await Site.make();
    site.append('ERROR before\n');
    renameSync(site.path, `${site.path}.1`);
    const between = await site.run();
    expect(between).to.include({ state: State.UNKNOWN, message: 'the file is not there' });
    expect(metricOf(between, 'error/matches')).to.equal(1);
    writeFileSync(site.path, 'ERROR new\n');
    expect(await site.counted()).to.deep.equal({ lines: 1, errors: 1 });
  });

  it('renamed, compressed and removed at once', async () => {
    await using site = await Site.make();
    site.append('ERROR before\n');
    unlinkSync(site.path);
    writeFileSync(site.path, 'ERROR new\n');
    expect(await site.counted()).to.deep.equal({ lines: 2, errors: 2 });
  });

  it('copied and truncated: the rest is found in the copy, once', async () => {
    await using site = await Site.make();
    site.append('ERROR before\n');
    copyFileSync(site.path, `${site.path}.1`);
    truncateSync(site.path);
    site.append('ERROR new\n');
    expect(await site.counted()).to.deep.equal({ lines: 2, errors: 2 });
    expect(await site.counted()).to.deep.equal({ lines: 0, errors: 0 });
  });

  it('copied and truncated, and grown beyond where it was', async () => {
    await using site = await Site.make();
    site.append('ERROR before\n');
    copyFileSync(site.path, `${site.path}.1`);
    truncateSync(site.path);
    site.append('fine\n'.repeat(1_000));
    expect(await site.counted()).to.deep.equal({ lines: 1_001, errors: 1 });
  });

  it('another file beside it is no copy', async () => {
    await using site = await Site.make();
    writeFileSync(`${site.path}.other`, 'ERROR other\n'.repeat(100));
    truncateSync(site.path);
    site.append('ERROR new\n');
    expect(await site.counted()).to.deep.equal({ lines: 1, errors: 1 });
  });

  it('whatever happens to it between runs, every line counts once', async () => {
    const step = fc.constantFrom('append', 'append', 'append half', 'rename', 'copytruncate', 'run', 'run');
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        await using site = await Site.make();
        let [written, counted, n] = [0, 0, 0];
        let rotated = false;
        const line = () => `${n++} ERROR ${'.'.repeat(n * 7)}\n`;
        const run = async () => {
          counted += (await site.counted()).errors;
          rotated = false;
        };
        for (const what of [...steps, 'append', 'run', 'run', 'run']) {
          if (what === 'run') await run();
          else if (what.startsWith('append')) {
            const text = line();
            const half = what === 'append half' ? Math.floor(text.length / 2) : 0;
            site.append(text.slice(0, half));
            if (half > 0) await run();
            site.append(text.slice(half));
            written++;
          } else if (!rotated) {
            // With nothing in it, nobody can tell what was copied; and only one rotation between two looks.
            site.append(line());
            written++;
            await run();
            site.append(line());
            written++;
            rotated = true;
            if (what === 'rename') {
              renameSync(site.path, `${site.path}.${n}`);
              writeFileSync(site.path, '');
            } else {
              copyFileSync(site.path, `${site.path}.${n}`);
              truncateSync(site.path);
            }
          }
        }
        expect(counted, steps.join(', ')).to.equal(written);
      }),
      { seed: testSeed, numRuns: 60 },
    );
  });

  it('endless lines cost bounded memory, and count once', async () => {
    await using site = await Site.make();
    site.append(`ERROR ${'x'.repeat(300_000)}`);
    expect(await site.counted()).to.deep.equal({ lines: 1, errors: 1 });
    site.append(`${'ERROR'.repeat(20_000)}\nERROR\n`);
    expect(await site.counted()).to.deep.equal({ lines: 1, errors: 1 });
  });

  it('reads so much in one run, and the rest in the next', async () => {
    await using site = await Site.make();
    const line = `ERROR ${'x'.repeat(993)}\n`;
    site.append(line.repeat(20_000));
    const first = await site.run();
    expect(metricOf(first, 'unread')).to.be.within(3e6, 4e6);
    const second = await site.run();
    expect(metricOf(second, 'unread')).to.equal(0);
    expect(metricOf(first, 'lines') + metricOf(second, 'lines')).to.equal(20_000);
  });

  it('what a run counted that was ended counts in the next', async () => {
    await using site = await Site.make();
    site.append('ERROR\n'.repeat(100_000));
    const control = new AbortController();
    const ended = site.run(control.signal).catch((thrown) => thrown);
    setImmediate(() => control.abort(new Error('enough')));
    expect((await ended).message).to.equal('enough');
    expect(await site.counted()).to.deep.equal({ lines: 100_000, errors: 100_000 });
  });

  it('a pattern gone wild is unknown, over soon, and not met again', async () => {
    await using site = await Site.make({ patterns: { wild: '^(a+)+$', error: 'ERROR' } });
    site.append(`${'a'.repeat(60)}!\n`);
    expect((await site.run().catch((thrown) => thrown)).code).to.equal('sensor.pattern');
    site.append('ERROR\n');
    expect((await site.counted()).errors).to.equal(1);
  });

  it('follows no link to where it may not look, not even for a copy', async () => {
    await using site = await Site.make();
    await using other = await Site.make();
    await symlink(other.path, join(site.folder, 'link.log'));
    const sensor = sensorOf(
      log,
      { path: join(site.folder, 'link.log'), patterns: { any: '.' } },
      { watch: { directories: [site.folder] } },
    );
    expect((await sensor.measure(new AbortController().signal).catch((e) => e)).code).to.equal('sensor.refused');
    copyFileSync(site.path, join(other.folder, 'copy'));
    appendFileSync(join(other.folder, 'copy'), 'ERROR elsewhere\n');
    await symlink(join(other.folder, 'copy'), `${site.path}.1`);
    truncateSync(site.path);
    expect(await site.counted()).to.deep.equal({ lines: 0, errors: 0 });
  });

  it('a file that was not there yet counts from its beginning', async () => {
    await using site = await Site.make();
    const path = join(site.folder, 'later.log');
    const sensor = sensorOf(log, { path, patterns: { error: 'ERROR' } }, { watch: { directories: [site.folder] } });
    const signal = new AbortController().signal;
    expect(await sensor.measure(signal)).to.include({ state: State.UNKNOWN });
    writeFileSync(path, 'ERROR\n');
    expect(metricOf(await sensor.measure(signal), 'error/matches')).to.equal(1);
    await (sensor as Sensor).close?.();
  });

  it('takes names and patterns that are some', () => {
    const path = '/var/log/syslog';
    for (const patterns of [{}, { A: 'x' }, { 'a b': 'x' }, { a: '(' }, { a: '' }, 'x']) {
      expect(log.settings.safeParse({ path, patterns }).success, JSON.stringify(patterns)).to.equal(false);
    }
  });
});
