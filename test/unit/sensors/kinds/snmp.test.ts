// Kind `snmp` without a device: arithmetic, silence, settings. Against a real one: test/interop/sensors.
import { createSocket } from 'node:dgram';
import { expect } from 'chai';
import { State } from '../../../../gen/occmesh/telemetry/v1/telemetry.js';
import { milliseconds } from '../../../../src/kernel/duration.js';
import { SensorFault } from '../../../../src/sensors/fault.js';
import { numberOf, snmp, snmpValues } from '../../../../src/sensors/kinds/snmp.js';
import { measure, secretsOf } from '../support.js';

const [INTEGER, COUNTER32, TIME_TICKS, COUNTER64] = [2, 65, 67, 70];
const look = (at: number, type: number, value: number) => ({
  at: milliseconds(at),
  answers: new Map([['x', { type, value }]]),
});

describe('sensors/kinds: snmp', () => {
  it('makes rates of counters, also around their end, and seconds of ticks', () => {
    const value = (type: number, from: number, to: number) =>
      snmpValues(look(3_000, type, to), look(1_000, type, from))[0]?.value;
    expect(value(COUNTER32, 100, 300)).to.equal(100);
    expect(value(COUNTER32, 2 ** 32 - 100, 100)).to.equal(100);
    expect(value(COUNTER64, 1_000_000, 500)).to.equal(250);
    expect(value(TIME_TICKS, 0, 12_345)).to.equal(123);
    expect(value(INTEGER, 9, -5)).to.equal(-5);
    expect(snmpValues(look(3_000, COUNTER32, 5), undefined)).to.deep.equal([]);
  });

  it('takes numbers for numbers, also where a device writes them as text', () => {
    const of = (value: unknown) => numberOf({ oid: '1', value } as never);
    expect([of(5), of(5n), of(Buffer.from('23.5')), of(Buffer.from(' -7 '))]).to.deep.equal([5, 5, 23.5, -7]);
    for (const odd of ['', 'x', '1e9', '0x10', '1 2', '9'.repeat(40)])
      expect(of(Buffer.from(odd)), odd).to.equal(undefined);
    for (const odd of [null, undefined, true]) expect(of(odd)).to.equal(undefined);
  });

  it('silence is a verdict, being removed is not, and nonsense is no answer', async () => {
    for (const settings of [{ version: '2c' }, { user: 'anna' }]) {
      for (const reason of [new SensorFault('sensor.timeout', 'timed out after 10s'), new Error('removed')]) {
        const control = new AbortController();
        const device = createSocket('udp4');
        await new Promise<void>((resolve) => device.bind(0, '127.0.0.1', resolve));
        device.on('message', (_, from) => {
          device.send(Buffer.from('nonsense'), from.port, from.address, () => control.abort(reason));
        });
        const place = { host: '127.0.0.1', port: device.address().port, ...settings };
        const secrets = secretsOf({ community: 'c', 'auth-password': 'long-enough', 'priv-password': 'long-enough' });
        const outcome = await measure(snmp, place, control.signal, secrets).catch((thrown) => thrown);
        await new Promise<void>((resolve) => device.close(() => resolve()));
        if (reason instanceof SensorFault) expect(outcome.state).to.equal(State.CRITICAL);
        else if (outcome !== reason) expect(outcome.state).to.equal(State.CRITICAL);
      }
    }
  });

  it('an answer with another community says neither', async () => {
    const device = createSocket('udp4');
    await new Promise<void>((resolve) => device.bind(0, '127.0.0.1', resolve));
    device.on('message', (question, from) => {
      const answer = Buffer.from(question.toString('latin1').replace('hunter2', 'private'), 'latin1');
      // GetRequest becomes GetResponse.
      answer[answer.indexOf(0xa0)] = 0xa2;
      device.send(answer, from.port, from.address);
    });
    const place = { host: '127.0.0.1', port: device.address().port, version: '2c' };
    const measured = await measure(snmp, place, new AbortController().signal, secretsOf({ community: 'hunter2' }));
    await new Promise<void>((resolve) => device.close(() => resolve()));
    expect(measured).to.include({ state: State.CRITICAL, message: 'the device answers with another community' });
  });

  it('its secrets are void for whoever else could learn them', () => {
    const of = (changes: object) =>
      JSON.stringify(snmp.secrets?.target(snmp.settings.parse({ host: 'a.example', user: 'anna', ...changes })));
    for (const change of [
      ...[{ host: 'b.example' }, { port: 162 }, { user: 'bert' }, { auth: 'md5' }, { priv: 'none' }],
      { version: '2c', user: undefined },
    ]) {
      expect(of(change), JSON.stringify(change)).to.not.equal(of({}));
    }
  });

  it('takes settings that make sense', () => {
    for (const settings of [
      ...[{}, { version: '2c', user: 'anna' }, { user: 'anna', auth: 'none' }, { user: 'anna', oids: {} }],
      ...[
        { user: 'anna', oids: { x: 'sysName' } },
        { user: 'anna', oids: { 'a b': '1.3' } },
        { user: 'anna', oids: { x: '1' } },
      ],
    ]) {
      expect(snmp.settings.safeParse({ host: 'a', ...settings }).success, JSON.stringify(settings)).to.equal(false);
    }
  });
});
