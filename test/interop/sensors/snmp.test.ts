// Kind `snmp` against Debian's snmpd.
import { expect } from 'chai';
import { State } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { SensorFault } from '../../../src/sensors/fault.js';
import { snmp } from '../../../src/sensors/kinds/snmp.js';
import { needs, program } from '../../support/programs.js';
import { closedPort } from '../../unit/sensors/kinds/servers.js';
import { measure, metricOf, secretsOf } from '../../unit/sensors/support.js';
import { Daemon } from './daemon.js';

const SNMPD = '/usr/sbin/snmpd';
const host = '127.0.0.1';
const V2C = { host, version: '2c' };
const V3 = { host, user: 'watcher' };
const SECRETS = { community: 'hunter2', 'auth-password': 'auth-hunter2', 'priv-password': 'priv-hunter2' };
/** tcpOutSegs, a Counter32; ifHCInOctets of loopback, a Counter64; sysName, a text; hrSystemProcesses. */
const [SEGMENTS, OCTETS, NAME, PROCESSES] = [
  ...['1.3.6.1.2.1.6.11.0', '1.3.6.1.2.1.31.1.1.1.6.1', '1.3.6.1.2.1.1.5.0', '1.3.6.1.2.1.25.1.6.0'],
];

describe('snmpd', () => {
  let daemon: Daemon | undefined;
  let port = 0;
  const ask = (settings: object, secrets: Record<string, string> = SECRETS, signal = new AbortController().signal) =>
    measure(snmp, { port, ...settings }, signal, secretsOf(secrets));
  const fault = (settings: object, secrets?: Record<string, string>) =>
    ask(settings, secrets).catch((thrown) => thrown);

  before(async function () {
    await needs(this, [program(SNMPD, 'snmpd')]);
    port = await closedPort();
    const conf = [
      'rocommunity hunter2 127.0.0.1',
      'createUser watcher SHA-256 "auth-hunter2" AES "priv-hunter2"',
      'createUser prover SHA-512 "auth-hunter2"',
      'rouser watcher priv',
      'rouser prover auth',
      '',
    ];
    daemon = await Daemon.start({
      files: { 'snmpd.conf': conf.join('\n') },
      command: (at) => [
        ...['/usr/bin/env', `SNMP_PERSISTENT_DIR=${at('')}`, `SNMPCONFPATH=${at('')}`, SNMPD, '-f', '-Lo', '-C'],
        ...['-c', at('snmpd.conf'), `udp:${host}:${port}`],
      ],
      ready: async () => {
        const signal = AbortSignal.timeout(500);
        return (await ask(V2C, SECRETS, signal).catch(() => ({ state: State.UNKNOWN }))).state === undefined;
      },
    });
  });
  after(() => daemon?.[Symbol.asyncDispose]());

  it('answers by version 2c and by version 3, encrypted or only proved', async () => {
    for (const way of [V2C, V3, { ...V3, host: 'localhost' }, { host, user: 'prover', auth: 'sha512', priv: 'none' }]) {
      const measured = await ask(way);
      expect(measured, JSON.stringify(measured)).to.not.have.property('state');
      expect(metricOf(measured, 'value/uptime')).to.be.within(0, 600);
      expect(metricOf(measured, 'time')).to.be.within(0, 5_000);
    }
  });

  it('makes rates of counters, and takes gauges as they are', async () => {
    const measured = await ask({ ...V2C, oids: { segments: SEGMENTS, octets: OCTETS, processes: PROCESSES } });
    expect(measured, JSON.stringify(measured)).to.not.have.property('state');
    const units = Object.fromEntries(measured.values.map(({ name, unit }) => [name, unit]));
    expect(units).to.deep.equal({ time: 'ms', 'value/segments': '/s', 'value/octets': '/s', 'value/processes': '' });
    // snmpd looks at them now and then only.
    expect(metricOf(measured, 'value/octets')).to.be.within(0, 1e10);
    expect(metricOf(measured, 'value/processes')).to.be.above(1);
  });

  it('a wrong user or password is critical', async () => {
    for (const [settings, secrets] of [
      [V3, { ...SECRETS, 'auth-password': 'auth-hunter3' }],
      [{ ...V3, user: 'nobody' }, SECRETS],
      [{ ...V3, auth: 'sha' }, SECRETS],
    ] as const) {
      const refused = await ask(settings, secrets);
      expect(refused.state).to.equal(State.CRITICAL);
      expect(refused.message)
        .to.match(/^the device says: /)
        .and.not.include('hunter');
    }
  });

  it('to a wrong community a device is silent', async () => {
    const control = new AbortController();
    const asking = ask(V2C, { community: 'hunter3' }, control.signal);
    // Whoever asks later with the right one has the answer by now.
    for (let i = 0; i < 3; i++) expect(await ask(V2C)).to.not.have.property('state');
    control.abort(new SensorFault('sensor.timeout', 'timed out after 10s'));
    expect(await asking).to.include({ state: State.CRITICAL, message: 'no answer: timed out after 10s' });
  });

  it('what is not there, or is no number, is unknown', async () => {
    for (const [oid, message] of [
      ['1.3.6.1.4.1.99999.1', 'it: the device knows no such object'],
      [NAME, 'it: the value is no number'],
    ]) {
      const thrown = await fault({ ...V2C, oids: { it: oid } });
      expect(thrown).to.include({ code: 'sensor.unreadable', message });
    }
    expect((await fault(V2C, {})).message).to.equal('no community has been entered for this target');
    expect((await fault(V3, { 'auth-password': 'x' })).message).to.equal(
      'no priv-password has been entered for this target',
    );
  });
});
