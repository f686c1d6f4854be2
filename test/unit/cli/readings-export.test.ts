// `occ readings export`: what comes out is what programs and spreadsheets read, whole or not at all.
import { access, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import fc from 'fast-check';
import type { CliFault } from '../../../src/cli/fault.js';
import { csvLine } from '../../../src/cli/output/csv.js';
import { withSink } from '../../../src/cli/output/sink.js';
import { GapReason, MissingReason } from '../../../src/client/index.js';
import { testSeed } from '../../support/seeded-random.js';
import { PC } from './fake-cloud.js';
import { Office, Screen } from './support.js';

/** By RFC 4180. */
function parsed(text: string): string[][] {
  const rows: string[][] = [[]];
  const pattern = /("(?:[^"]|"")*"|[^",\r\n]*)(,|\r\n)/gy;
  let match = pattern.exec(text);
  let end = 0;
  for (; match; match = pattern.exec(text)) {
    const [whole, cell = '', separator] = match;
    end += whole.length;
    rows.at(-1)?.push(cell.startsWith('"') ? cell.slice(1, -1).replaceAll('""', '"') : cell);
    if (separator === '\r\n') rows.push([]);
  }
  expect(end, 'all of it is CSV').to.equal(text.length);
  return rows.slice(0, -1);
}

describe(`operators: export of readings (seed ${testSeed})`, () => {
  let office: Office;
  beforeEach(async () => {
    office = await Office.open();
  });
  afterEach(() => office[Symbol.asyncDispose]());

  it('writes any text so that it is read back, and none that a spreadsheet would take for a formula', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary' }), { minLength: 1, maxLength: 5 }), (cells) => {
        const [row = []] = parsed(csvLine(cells));
        expect(row.map((cell) => cell.replace(/^'/, ''))).to.deep.equal(cells.map((cell) => cell.replace(/^'/, '')));
        for (const cell of row) expect(cell).to.not.match(/^[=+\-@\t\r]/);
      }),
      { seed: testSeed, numRuns: 500 },
    );
    expect(csvLine([-1.5, undefined, '-1', 'a "b", c'])).to.equal(`-1.5,,'-1,"a ""b"", c"\r\n`);
  });

  it('says that readings are missing, raw and summed up', async () => {
    const span = { machineId: PC, fromMs: 1, untilMs: 2, log: Buffer.alloc(16), flushes: undefined };
    const lost = { ...span, reason: MissingReason.LOST, gapReason: GapReason.LOG_FULL };
    const command = ['readings', 'export', '--machine', 'acme/pc'];
    expect((await office.occ(...command)).err).to.not.contain('missing');
    office.cloud.content.missing = [lost, lost];
    const note = 'Readings are known to be missing in 2 spans; see "occ readings range".\n';
    for (const more of [[], ['--every', '30m']]) {
      expect((await office.occ(...command, ...more)).err)
        .to.match(/of 1 hub\n/)
        .and.to.contain(note);
      const csv = (await office.occ(...command, ...more)).out;
      expect(csv).to.not.contain('log full');
      const lines = (await office.occ(...command, ...more, '--format', 'jsonl')).out.trim().split('\n');
      const missing = lines.map((line) => JSON.parse(line)).filter((line) => 'missing' in line);
      const told = { reason: 'lost', gapReason: 'log full', log: '00'.repeat(16) };
      expect(missing).to.have.length(2);
      expect(lines.length).to.be.greaterThan(2);
      expect(missing[0]).to.deep.include({ machineId: PC, machine: 'pc' });
      expect(missing[0].missing).to.deep.include({ ...told, from: '1970-01-01T00:00:00.001Z' });
    }
  });

  it('gives a line for each metric as CSV, an object for each reading as JSON lines', async () => {
    const csv = await office.occ('readings', 'export', '--machine', 'acme/pc');
    expect(csv.code, csv.err).to.equal(0);
    const [head, ...rows] = parsed(csv.out);
    expect(head).to.deep.equal([
      ...['time', 'machine', 'sensor', 'state', 'metric', 'value', 'unit', 'message', 'machine_id', 'sensor_id'],
    ]);
    const { readings } = office.cloud.content;
    expect(rows).to.have.length(readings.reduce((sum, { values }) => sum + Math.max(1, values.length), 0));
    expect(rows.every(({ length }) => length === head?.length)).to.equal(true);
    expect(csv.err).to.equal(`${readings.length} readings of 1 hub\n`);
    const lines = await office.occ('readings', 'export', '--sensor', 'acme/pc/cpu', '--format', 'jsonl');
    const objects = lines.out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { takenAt: string });
    expect(objects).to.have.length(readings.length);
    expect(objects[0]?.takenAt).to.match(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    const asked = office.cloud.asked('queryReadings') as { machineId: string; sensorIds: string[] }[];
    expect(asked.map(({ machineId, sensorIds }) => [machineId, sensorIds.map((id) => id.split('/')[0])])).to.deep.equal(
      [
        [PC, []],
        ['', [PC]],
      ],
    );
  });

  it('asks hub by hub where none is named', async () => {
    const { err } = await office.occ('readings', 'export', '--customer', 'acme');
    expect(err).to.match(/ of 3 hubs\n$/);
    expect(office.cloud.asked('queryReadings')).to.have.length(3);
  });

  it('sums up, too', async () => {
    const { out, code, err } = await office.occ('readings', 'export', '--sensor', 'acme/pc/cpu', '--every', '30m');
    expect(code, err).to.equal(0);
    const [head, first] = parsed(out);
    expect(head?.slice(0, 7)).to.deep.equal(['from', 'machine', 'sensor', 'worst', 'metric', 'unit', 'count']);
    expect(first).to.have.length(head?.length ?? 0);
  });

  it('makes a file that is there only when it is whole', async () => {
    const file = join(office.folder, 'readings.csv');
    const { code, out } = await office.occ('readings', 'export', '--machine', 'acme/pc', '--out', file);
    expect([code, out]).to.deep.equal([0, '']);
    expect(parsed(await readFile(file, 'utf8')).length).to.be.greaterThan(1);
    expect((await readdir(office.folder)).filter((name) => name.includes('partial'))).to.deep.equal([]);
  });

  it('leaves what was there, and nothing else, when it fails half-way', async () => {
    const file = join(office.folder, 'readings.csv');
    await writeFile(file, 'old');
    const failing = withSink(file, { stdout: new Screen() }, async (sink) => {
      for (let i = 0; i < 100; i++) await sink.write('x'.repeat(10_000));
      throw new Error('interrupted');
    });
    expect(await failing.catch((thrown: Error) => thrown.message)).to.equal('interrupted');
    expect(await readFile(file, 'utf8')).to.equal('old');
    expect((await readdir(office.folder)).filter((name) => name.includes('partial'))).to.deep.equal([]);
    const nowhere = withSink(join(office.folder, 'no', 'x'), { stdout: new Screen() }, async (sink) => {
      for (;;) await sink.write('x'.repeat(100_000));
    });
    expect(await nowhere.catch((thrown: CliFault) => thrown.code)).to.equal('cli.refused');
    await access(file);
    const onto = withSink(office.folder, { stdout: new Screen() }, async () => expect.fail('nothing is asked for'));
    expect(String(await onto.catch((thrown: Error) => thrown))).to.contain('is a directory');
  });

  it('waits for a reader that is slow', async () => {
    const events: string[] = [];
    class Slow extends Screen {
      override write(text: string): void {
        events.push(`write ${text}`);
      }
      override async drained(): Promise<void> {
        events.push('wait');
      }
    }
    await withSink(undefined, { stdout: new Slow() }, async (sink) => {
      await sink.write('a');
      await sink.write('b');
    });
    expect(events).to.deep.equal(['write a', 'wait', 'write b', 'wait']);
  });

  it('says what makes no sense', async () => {
    const wrong = async (...args: string[]) => (await office.occ('readings', 'export', ...args)).code;
    expect(await wrong('--machine', 'a', '--sensor', 'b')).to.equal(2);
    expect(await wrong('--from', 'now', '--until', '-1h')).to.equal(2);
    expect(await wrong('--format', 'xml')).to.equal(2);
  });
});
