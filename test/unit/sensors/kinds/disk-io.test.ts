// Kind `disk-io`: the arithmetic on given numbers, and a run on the real machine.
import { closeSync, fsyncSync, openSync, rmSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { milliseconds } from '../../../../src/kernel/duration.js';
import { diskIo, diskIoValues, parseDiskstats } from '../../../../src/sensors/kinds/disk-io.js';
import { ROOT } from '../../../support/programs.js';
import { measure, sensorOf } from '../support.js';

const onLinux = process.platform === 'linux' ? it : it.skip;
const signal = new AbortController().signal;

describe('sensors/kinds: disk-io', () => {
  it('makes rates of what the kernel counts', () => {
    const read = (line: string) => parseDiskstats(`  254  0 vda ${line}\n`).get('vda');
    const [before, now] = [
      read('100 0 1000 50 200 0 3000 150 0 400 200'),
      read('110 0 1200 80 240 0 7000 270 0 900 350'),
    ];
    if (!before || !now) throw new Error('not read');
    const values = diskIoValues('vda', before, now, milliseconds(2_000));
    expect(values.map(({ name, value }) => [name, value])).to.deep.equal([
      ['vda/read', 51_200],
      ['vda/written', 1_024_000],
      ['vda/operations', 25],
      ['vda/busy', 25],
      ['vda/wait', 3],
    ]);
  });

  it('a device that began again, or rests, gives no nonsense', () => {
    const counters = { operations: 5, read: 5, written: 5, waited: 5, busy: 5 };
    const larger = { operations: 900, read: 900, written: 900, waited: 900, busy: 900_000 };
    for (const [before, now] of [
      [larger, counters],
      [counters, counters],
      [counters, larger],
    ] as const) {
      for (const { name, value } of diskIoValues('sda', before, now, milliseconds(1_000))) {
        expect(value, name).to.be.within(0, name === 'sda/busy' ? 100 : 1_000);
      }
    }
  });

  it('reads lines of old kernels and new ones, and nothing else', () => {
    const text = '8 0 sda 1 2 3 4 5 6 7 8 9 10 11\n8 1 sda1 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15\n\n8 2 odd 1 2\n';
    expect([...parseDiskstats(text).keys()]).to.deep.equal(['sda', 'sda1']);
  });

  onLinux('measures this machine', async function () {
    const sensor = sensorOf(diskIo);
    const before = await sensor.measure(signal);
    // What is not on a device of its own (overlay, tmpfs) has major number 0.
    if (before.values.length === 0 || statSync(ROOT).dev < 256) this.skip();
    const path = join(ROOT, `.disk-io-${process.pid}`);
    const file = openSync(path, 'w');
    writeSync(file, Buffer.alloc(8_000_000, 'x'));
    fsyncSync(file);
    closeSync(file);
    const measured = await sensor.measure(signal);
    rmSync(path);
    const written = measured.values.filter(({ name }) => name.endsWith('/written'));
    expect(Math.max(...written.map(({ value }) => value))).to.be.above(0);
    for (const { name, value } of measured.values) expect(value, name).to.be.at.least(0);
  });

  onLinux('a device that is not there is unknown', async () => {
    expect((await measure(diskIo, { devices: ['nope'] }).catch((e) => e)).message).to.equal('no device nope');
  });

  it('says where it is not supported', async () => {
    for (const platform of ['win32', 'darwin'] as const) {
      const fault = await sensorOf(diskIo, {}, { platform })
        .measure(signal)
        .catch((thrown) => thrown);
      expect(fault.message).to.equal('unsupported here: disk I/O is read from the Linux kernel');
    }
  });

  it('takes names of devices only', () => {
    for (const name of ['../sda', 'a/b', '', ' ']) {
      expect(diskIo.settings.safeParse({ devices: [name] }).success, name).to.equal(false);
    }
  });
});
