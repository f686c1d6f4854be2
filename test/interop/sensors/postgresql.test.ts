// Kind `postgresql` against Debian's PostgreSQL.
import { readdirSync } from 'node:fs';
import { expect } from 'chai';
import { State } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { postgresql } from '../../../src/sensors/kinds/postgresql.js';
import { needs, program, run } from '../../support/programs.js';
import { closedPort } from '../../unit/sensors/kinds/servers.js';
import { makeCertificate, measure, metricOf, secretsOf } from '../../unit/sensors/support.js';
import { Daemon } from './daemon.js';

const PASSWORD = 'hunter2 "\'\\';

function binaries(): string {
  try {
    const version = readdirSync('/usr/lib/postgresql').sort().at(-1);
    return `/usr/lib/postgresql/${version}/bin`;
  } catch {
    return '/usr/lib/postgresql';
  }
}

describe('PostgreSQL', () => {
  let daemon: Daemon | undefined;
  let port = 0;
  let ca = '';
  const ask = (settings: object, password = PASSWORD) => {
    const place = { host: 'localhost', port, user: 'watcher', database: 'postgres', ca, ...settings };
    return measure(postgresql, place, new AbortController().signal, secretsOf({ password }));
  };
  const value = async (query: string, name: string) => metricOf(await ask({ query }), name);
  const fault = (settings: object) => ask(settings).catch((thrown) => thrown);

  before(async function () {
    const bin = binaries();
    await needs(this, [program(`${bin}/postgres`, 'postgresql')]);
    port = await closedPort();
    const { cert, key } = await makeCertificate(30);
    ca = cert;
    const setup = [
      `CREATE ROLE watcher LOGIN PASSWORD '${PASSWORD.replaceAll("'", "''")}';`,
      'CREATE TABLE jobs (id int, name text);',
      "INSERT INTO jobs VALUES (1, 'confidential');",
      'GRANT ALL ON jobs TO watcher;',
      '',
    ].join('\n');
    daemon = await Daemon.start({
      files: {
        'server.crt': cert,
        'server.key': key,
        'setup.sql': setup,
        'hba.conf': 'local all all trust\nhost all all all scram-sha-256\n',
      },
      prepare: (at) => [
        [`${bin}/initdb`, '-D', at('data'), '-U', 'root', '--no-sync', '-A', 'trust'],
        ['/bin/sh', '-c', `${bin}/postgres --single -D ${at('data')} postgres < ${at('setup.sql')}`],
      ],
      command: (at) => [
        ...[`${bin}/postgres`, '-D', at('data'), '-h', '127.0.0.1', '-p', String(port), '-k', at(''), '-F'],
        ...['-c', 'ssl=on', '-c', `ssl_cert_file=${at('server.crt')}`, '-c', `ssl_key_file=${at('server.key')}`],
        ...['-c', `hba_file=${at('hba.conf')}`],
      ],
      ready: (folder) => run(`${bin}/pg_isready`, ['-h', folder, '-p', String(port)]).then(({ code }) => code === 0),
    });
    await run(`${bin}/psql`, [
      '-h',
      daemon.folder,
      '-p',
      String(port),
      '-U',
      'root',
      '-c',
      `ALTER ROLE root PASSWORD 'r'`,
      'postgres',
    ]);
  });
  after(() => daemon?.[Symbol.asyncDispose]());

  it('logs in over TLS', async () => {
    const measured = await ask({});
    expect(measured).to.not.have.property('state');
    expect(metricOf(measured, 'login')).to.be.at.least(metricOf(measured, 'connect'));
    expect(await ask({ tls: false })).to.not.have.property('state');
    expect(await ask({ ca: undefined })).to.include({
      state: State.CRITICAL,
      message: 'the certificate is self-signed',
    });
    const name = await ask({ host: '127.0.0.1' });
    expect(name.message).to.equal('the certificate is not made out to this name');
    expect(await ask({ host: '127.0.0.1', serverName: 'localhost' })).to.not.have.property('state');
  });

  it('a refused login is critical, and says nothing of the password', async () => {
    const refused = await ask({}, 'hunter3');
    expect(refused).to.include({
      state: State.CRITICAL,
      message: 'the login is refused: password authentication failed for user "watcher"',
    });
    expect((await ask({ database: 'none' })).message).to.equal('the server says: database "none" does not exist');
  });

  it('says goodbye: nothing of a run is in the log of the server', async () => {
    const before = daemon?.output.length;
    await ask({ query: 'SELECT 1 AS one' });
    await ask({ tls: false });
    expect(daemon?.output.slice(before)).to.not.match(/unexpected EOF|reset by peer|could not receive/);
  });

  it('measures the numbers of the first row', async () => {
    const measured = await ask({
      query: 'SELECT count(*) AS jobs, 1.5 AS ratio, true AS yes, max(name) AS word FROM jobs',
    });
    expect(measured).to.not.have.property('state');
    const values = measured.values.filter(({ name }) => name.startsWith('value/'));
    expect(values.map(({ name, value }) => [name, value])).to.deep.equal([
      ['value/jobs', 1],
      ['value/ratio', 1.5],
      ['value/yes', 1],
    ]);
    expect(metricOf(measured, 'rows')).to.equal(1);
    expect(await value('SHOW max_connections', 'value/max_connections')).to.equal(100);
    expect(await value('SELECT 1 WHERE false', 'rows')).to.equal(0);
    expect((await fault({ query: 'SELECT name FROM jobs' })).message).to.include('has no number');
  });

  it('changes nothing, and runs no second statement', async () => {
    const attempts = {
      'WITH gone AS (DELETE FROM jobs RETURNING id) SELECT * FROM gone': /read-only transaction/,
      'SELECT 1; DELETE FROM jobs': /multiple commands/,
      "SELECT set_config('transaction_read_only', 'off', true)": /read-write mode|read-only/,
      "SELECT nextval('s')": /does not exist/,
      "SELECT pg_read_file('/etc/passwd')": /permission denied/,
    };
    for (const [query, message] of Object.entries(attempts)) {
      const thrown = await fault({ query });
      expect(thrown.code, query).to.equal('sensor.unreadable');
      expect(thrown.message).to.match(message);
    }
    expect(await value('SELECT count(*) AS n FROM jobs', 'value/n')).to.equal(1);
  });

  it('an error does not quote what is in the tables', async () => {
    const measured = await ask({ query: 'SELECT name::int FROM jobs' });
    expect(measured).to.include({ state: State.CRITICAL, message: 'the query fails with error 22P02' });
  });

  it('runs no query as a superuser', async () => {
    const place = { host: 'localhost', port, user: 'root', database: 'postgres', ca };
    const as = (settings: object) =>
      measure(postgresql, { ...place, ...settings }, new AbortController().signal, secretsOf({ password: 'r' }));
    expect(await as({})).to.not.have.property('state');
    expect((await as({ query: 'SELECT 1' }).catch((thrown) => thrown)).code).to.equal('sensor.refused');
  });

  it('an answer that is too large is cut off', async () => {
    const measured = await ask({ query: "SELECT repeat('x', 1000) FROM generate_series(1, 100000)" });
    expect(measured).to.include({ state: State.CRITICAL, message: 'the server says more than 1 MiB' });
  });
});
