// Kind `exec` with Debian's monitoring-plugins, as the package installs them.
import type { RequestListener } from 'node:http';
import { expect } from 'chai';
import { State } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { exec, PLUGIN_DIRECTORIES } from '../../../src/sensors/kinds/exec.js';
import { needs, program } from '../../support/programs.js';
import { NOBODY } from '../../unit/sensors/kinds/plugins.js';
import { closedPort, httpServer } from '../../unit/sensors/kinds/servers.js';
import { metricOf, secretsOf, sensorOf } from '../../unit/sensors/support.js';

const AUTHORIZATION = `Basic ${Buffer.from('anna:hunter2').toString('base64')}`;
const policy = { directories: PLUGIN_DIRECTORIES, runAs: { uid: NOBODY, gid: NOBODY } };
const run = (settings: object, secret?: string) =>
  sensorOf(exec, settings, { exec: policy }).measure(
    new AbortController().signal,
    secretsOf(secret === undefined ? {} : { secret }),
  );

const guarded: RequestListener = (request, response) => {
  response.statusCode = request.headers.authorization === AUTHORIZATION ? 200 : 401;
  response.end('hello');
};

describe('monitoring-plugins', () => {
  before(async function () {
    await needs(this, [program('/usr/lib/nagios/plugins/check_http', 'monitoring-plugins-basic')]);
  });

  it('are run as they are, with their values', async () => {
    const load = await run({ program: 'check_load', args: ['-w', '10000', '-c', '20000'] });
    expect(load).to.include({ state: State.OK });
    expect(metricOf(load, 'load1')).to.be.at.least(0);
    const disk = await run({ program: 'check_disk', args: ['-w', '0%', '-c', '0%', '-p', '/'] });
    expect(disk.message).to.match(/^DISK OK/);
    expect(metricOf(disk, '/')).to.be.above(0);
    expect(await run({ program: 'check_dummy', args: ['1', 'so so'] })).to.deep.include({
      state: State.WARNING,
      message: 'WARNING: so so',
    });
  });

  it('a service that is down is critical, a wrong argument unknown', async () => {
    const args = ['-H', '127.0.0.1', '-p', String(await closedPort())];
    expect(await run({ program: 'check_tcp', args })).to.include({ state: State.CRITICAL });
    expect(await run({ program: 'check_tcp', args: ['--no-such'] })).to.include({ state: State.UNKNOWN });
  });

  it('take a password from their standard input, as an option file', async () => {
    await using server = await httpServer(guarded);
    const args = ['-I', '127.0.0.1', '-p', String(server.port), '--extra-opts=web@-'];
    const options = (password: string) => `[web]\nauthorization=anna:${password}`;
    const right = await run({ program: 'check_http', args, secret: 'stdin' }, options('hunter2'));
    expect(right).to.include({ state: State.OK });
    const wrong = await run({ program: 'check_http', args, secret: 'stdin' }, options('hunter3'));
    expect(wrong.state).to.equal(State.WARNING);
    expect(wrong.message).to.include('401').and.not.include('hunter');
  });

  it('are refused where they would be a way around', async () => {
    const fault = await run({ program: 'check_log', args: ['-F', '/etc/passwd'] }).catch((thrown) => thrown);
    expect(fault.code).to.equal('sensor.refused');
  });
});
