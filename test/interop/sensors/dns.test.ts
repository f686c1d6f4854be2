// Kind `dns` against dnsmasq.
import { expect } from 'chai';
import { State } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { dns } from '../../../src/sensors/kinds/dns.js';
import { needs, program } from '../../support/programs.js';
import { closedPort } from '../../unit/sensors/kinds/servers.js';
import { measure, metricOf } from '../../unit/sensors/support.js';
import { Daemon } from './daemon.js';

const DNSMASQ = '/usr/sbin/dnsmasq';
const server = '127.0.0.1';

describe('dnsmasq', () => {
  let daemon: Daemon | undefined;
  let port = 0;
  const ask = (settings: object) => measure(dns, { server, port, ...settings });

  before(async function () {
    await needs(this, [program(DNSMASQ, 'dnsmasq-base')]);
    port = await closedPort();
    const records = [
      ...['--host-record=www.site.example,192.0.2.1,2001:db8::1', '--host-record=www.site.example,192.0.2.2'],
      ...['--mx-host=site.example,mail.site.example,10', '--txt-record=site.example,v=spf1 -all'],
      ...['--srv-host=_sip._tcp.site.example,sip.site.example,5060,1,2', '--cname=alias.site.example,www.site.example'],
    ];
    const flags = ['--keep-in-foreground', '--conf-file=/dev/null', '--no-resolv', '--no-hosts', '--pid-file='];
    const where = [
      `--port=${port}`,
      `--listen-address=${server}`,
      '--bind-interfaces',
      '--auth-ttl=1',
      '--local=/example/',
    ];
    daemon = await Daemon.start({ command: () => [DNSMASQ, ...flags, ...where, ...records], ready: port });
  });
  after(() => daemon?.[Symbol.asyncDispose]());

  it('measures the time and counts the answers', async () => {
    const measured = await ask({ name: 'www.site.example' });
    expect(measured).to.not.have.property('state');
    expect(metricOf(measured, 'answers')).to.equal(2);
    expect(metricOf(measured, 'time')).to.be.within(0, 5_000);
  });

  for (const [type, name, ...expected] of [
    ['A', 'WWW.site.example', '192.0.2.2', '192.0.2.1'],
    ['AAAA', 'www.site.example', '2001:db8::1'],
    ['MX', 'site.example', '10 Mail.site.example.'],
    ['TXT', 'site.example', 'v=spf1 -all'],
    ['SRV', '_sip._tcp.site.example', '1 2 5060 sip.site.example'],
    ['CNAME', 'alias.site.example', 'www.site.example'],
    ['PTR', '192.0.2.1', 'www.site.example'],
  ]) {
    it(`compares ${type}`, async () => {
      expect(await ask({ name, type, expect: expected })).to.not.have.property('state');
      expect(await ask({ name, type, expect: [...expected, 'more'] })).to.have.property('state', State.CRITICAL);
      const other = await ask({ name, type, expect: ['other'] });
      expect(other.message?.toLowerCase()).to.include(expected[0]?.toLowerCase().replace(/\.$/, ''));
    });
  }

  it('a name or a record that is not there is critical', async () => {
    const missing = await ask({ name: 'no.site.example' });
    expect(missing).to.deep.equal({ values: [], state: State.CRITICAL, message: 'there is no such name' });
    const other = await ask({ name: 'www.site.example', type: 'MX' });
    expect(other).to.include({ state: State.CRITICAL, message: 'the name has no such record' });
  });

  it('a name server that is down is critical', async () => {
    const down = await ask({ name: 'www.site.example', port: await closedPort() });
    expect(down).to.include({ state: State.CRITICAL, message: 'connection refused' });
  });
});
