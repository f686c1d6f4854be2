// Kind `systemd`: what is made of the words of systemctl (version 252, as it said them); and this machine's, if it has one.
import { existsSync } from 'node:fs';
import { expect } from 'chai';
import { State } from '../../../../gen/occmesh/telemetry/v1/telemetry.js';
import { failedMeasurement, parseProperties, systemd, unitMeasurement } from '../../../../src/sensors/kinds/systemd.js';
import { metricOf, sensorOf } from '../support.js';

const unit = (text: string, expected: 'active' | 'inactive' = 'active') =>
  unitMeasurement(parseProperties(`LoadState=loaded\nSubState=x\nResult=success\n${text}`), expected);

describe('sensors/kinds: systemd', () => {
  it('an active unit is well, with its numbers', () => {
    const measured = unit('ActiveState=active\nNRestarts=3\nMemoryCurrent=4096\n');
    expect(measured).to.deep.equal({
      values: [
        { name: 'active', unit: '', value: 1 },
        { name: 'restarts', unit: '', value: 3 },
        { name: 'memory', unit: 'By', value: 4_096 },
      ],
    });
  });

  it('what systemd does not count is left out', () => {
    for (const memory of ['[not set]', '18446744073709551615', '']) {
      expect(unit(`ActiveState=active\nMemoryCurrent=${memory}\n`).values).to.have.length(1);
    }
  });

  for (const [state, up] of [
    ['active', true],
    ['reloading', true],
    ['inactive', false],
    ['activating', false],
    ['deactivating', false],
    ['failed', false],
  ] as const) {
    it(`${state} is ${up ? 'up' : 'down'}`, () => {
      expect(unit(`ActiveState=${state}`).state).to.equal(up ? undefined : State.CRITICAL);
      const isWell = !up && state !== 'failed';
      expect(unit(`ActiveState=${state}`, 'inactive').state).to.equal(isWell ? undefined : State.CRITICAL);
      expect(metricOf(unit(`ActiveState=${state}`), 'active')).to.equal(up ? 1 : 0);
    });
  }

  it('says why', () => {
    expect(unit('ActiveState=failed\nSubState=failed\nResult=exit-code\n').message).to.equal(
      'the unit is failed (failed, exit-code)',
    );
    expect(unit('LoadState=masked\nActiveState=inactive\n').message).to.equal('the unit is inactive (masked)');
  });

  it('a unit that is not there, or cannot be loaded, is unknown', () => {
    expect(() => unit('LoadState=not-found\nActiveState=inactive')).to.throw('there is no such unit');
    expect(() => unit('LoadState=bad-setting')).to.throw('cannot be loaded: bad-setting');
    expect(() => unitMeasurement(parseProperties(''), 'active')).to.throw('says nothing');
  });

  it('counts units that have failed', () => {
    expect(failedMeasurement('')).to.deep.equal({ values: [{ name: 'failed', unit: '', value: 0 }] });
    const text = Array.from({ length: 7 }, (_, n) => `unit-${n}.service loaded failed failed A unit\n`).join('');
    expect(failedMeasurement(text)).to.deep.equal({
      values: [{ name: 'failed', unit: '', value: 7 }],
      state: State.CRITICAL,
      message: 'failed: unit-0.service, unit-1.service, unit-2.service, unit-3.service, unit-4.service and 2 more',
    });
  });

  it('measures this machine, or says that it has none', async function () {
    if (process.platform !== 'linux') this.skip();
    const measured = await sensorOf(systemd)
      .measure(new AbortController().signal)
      .catch((thrown) => thrown);
    if (!existsSync('/run/systemd/system')) expect(measured.code).to.equal('sensor.unsupported');
    else expect(metricOf(measured, 'failed')).to.be.at.least(0);
  });

  it('says where it is not supported', async () => {
    const sensor = sensorOf(systemd, {}, { platform: 'darwin' });
    const fault = await sensor.measure(new AbortController().signal).catch((thrown) => thrown);
    expect(fault).to.include({ code: 'sensor.unsupported', message: 'unsupported here: there is no systemd' });
  });

  it('takes names of units only, never an option or a pattern', () => {
    for (const name of ['-all', '--all', 'a b', '*', 'a*.service', 'a/b', '', 'a\nb', '[a]']) {
      expect(systemd.settings.safeParse({ unit: name }).success, name).to.equal(false);
    }
    for (const name of ['ssh', 'getty@tty1.service', 'dev-disk\\x2dby.device']) {
      expect(systemd.settings.safeParse({ unit: name }).success, name).to.equal(true);
    }
  });
});
