// Kind `mysql` against Debian's MariaDB.
import { expect } from 'chai';
import { State } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { mysql } from '../../../src/sensors/kinds/mysql.js';
import { needs, program } from '../../support/programs.js';
import { closedPort } from '../../unit/sensors/kinds/servers.js';
import { makeCertificate, measure, metricOf, secretsOf } from '../../unit/sensors/support.js';
import { Daemon } from './daemon.js';

const MARIADB = '/usr/sbin/mariadbd';
const PASSWORD = 'hunter2 "ä\'\\';
const quoted = `'${PASSWORD.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`;

describe('MariaDB', () => {
  let daemon: Daemon | undefined;
  let [port, ca] = [0, ''];
  const ask = (settings: object, password = PASSWORD) => {
    const place = { host: 'localhost', port, user: 'watcher', database: 'shop', ca, ...settings };
    return measure(mysql, place, new AbortController().signal, secretsOf({ password }));
  };
  const value = async (query: string, name: string) => metricOf(await ask({ query }), name);
  const fault = (settings: object) => ask(settings).catch((thrown) => thrown);

  before(async function () {
    await needs(this, [program(MARIADB, 'mariadb-server')]);
    port = await closedPort();
    const { cert, key } = await makeCertificate(30);
    ca = cert;
    const setup = [
      'CREATE DATABASE shop;',
      'CREATE TABLE shop.jobs (id int, name text) ENGINE=InnoDB;',
      "INSERT INTO shop.jobs VALUES (1, 'confidential');",
      `CREATE USER 'watcher'@'%' IDENTIFIED BY ${quoted};`,
      "GRANT ALL ON shop.* TO 'watcher'@'%';",
      "GRANT FILE ON *.* TO 'watcher'@'%';",
      'CREATE FUNCTION shop.spoil() RETURNS int MODIFIES SQL DATA RETURN (SELECT 1);',
      '',
    ].join('\n');
    daemon = await Daemon.start({
      files: { 'server.crt': cert, 'server.key': key, 'setup.sql': setup },
      prepare: (at) => [
        ['/bin/sh', '-c', `mkdir ${at('data')}`],
        [
          ...['/usr/bin/mariadb-install-db', '--no-defaults', `--datadir=${at('data')}`, '--skip-test-db'],
          ...['--auth-root-authentication-method=normal', '--innodb-log-file-size=4M', '--innodb-flush-method=nosync'],
        ],
      ],
      command: (at) => [
        ...[MARIADB, '--no-defaults', `--datadir=${at('data')}`, `--socket=${at('socket')}`, `--port=${port}`],
        ...['--bind-address=127.0.0.1', `--ssl-cert=${at('server.crt')}`, `--ssl-key=${at('server.key')}`],
        ...[
          `--init-file=${at('setup.sql')}`,
          '--skip-log-bin',
          '--innodb-log-file-size=4M',
          '--innodb-flush-method=nosync',
        ],
        ...[`--pid-file=${at('pid')}`, '--local-infile=1', '--character-set-server=utf8mb4'],
      ],
      ready: port,
    });
  });
  after(() => daemon?.[Symbol.asyncDispose]());

  it('logs in over TLS', async () => {
    const measured = await ask({});
    expect(measured, JSON.stringify(measured)).to.not.have.property('state');
    expect(metricOf(measured, 'login')).to.be.at.least(metricOf(measured, 'connect'));
    expect(await ask({ tls: false })).to.not.have.property('state');
    expect(await ask({ host: '127.0.0.1', serverName: 'localhost' })).to.not.have.property('state');
    expect((await ask({ ca: undefined })).message).to.equal('the certificate is self-signed');
    const other = await ask({ serverName: 'other.example' });
    expect(other.message).to.equal('the certificate is not made out to this name');
    expect(await ask({ serverName: 'other.example', verifyTls: false })).to.not.have.property('state');
  });

  it('a refused login is critical, and says nothing of the password', async () => {
    const refused = await ask({}, 'hunter3');
    expect(refused.state).to.equal(State.CRITICAL);
    expect(refused.message)
      .to.match(/^the login is refused: Access denied for user 'watcher'/)
      .and.not.include('hunter');
  });

  it('says goodbye: nothing of a run is in the log of the server', async () => {
    const before = daemon?.output.length;
    await ask({ query: 'SELECT 1 AS one' });
    await ask({ tls: false });
    expect(daemon?.output.slice(before)).to.not.match(/Aborted connection|Got an error/);
  });

  it('measures the numbers of the first row', async () => {
    const measured = await ask({
      query:
        'SELECT count(*) AS jobs, 1.5 AS ratio, 12345678901234500000 AS big, max(name) AS word, now() AS moment FROM jobs',
    });
    const values = measured.values.filter(({ name }) => name.startsWith('value/'));
    expect(values.map(({ name, value }) => [name, value])).to.deep.equal([
      ['value/jobs', 1],
      ['value/ratio', 1.5],
      ['value/big', 12345678901234500000],
    ]);
    expect(await value("SHOW GLOBAL STATUS LIKE 'Threads_connected'", 'value/Value')).to.be.at.least(1);
    expect(await value('SELECT 1 FROM jobs WHERE false', 'rows')).to.equal(0);
  });

  it('changes nothing, runs no second statement, writes no file', async () => {
    for (const [query, message] of [
      ['SELECT 1; DELETE FROM jobs', /SQL syntax/],
      ['SELECT * FROM none', /doesn't exist/],
      ['WITH a AS (SELECT 1) DELETE FROM jobs', /SQL syntax/],
    ] as const) {
      const thrown = await fault({ query });
      expect(thrown.code, query).to.equal('sensor.unreadable');
      expect(thrown.message).to.match(message);
    }
    for (const query of ["SELECT 1 INTO OUTFILE '/tmp/x'", "SELECT 1 /*!50000 INTO OUTFILE '/tmp/x' */"]) {
      expect(mysql.settings.safeParse({ host: 'a', user: 'b', query }).success).to.equal(false);
    }
    expect(await value('SELECT count(*) AS n FROM jobs', 'value/n')).to.equal(1);
  });

  it('an error does not quote what is in the tables', async () => {
    const measured = await ask({ query: 'SELECT ST_X(name) AS x FROM jobs' });
    expect(measured.message ?? '').to.not.include('confidential');
  });

  it('an answer that is too large is cut off', async () => {
    const measured = await ask({ query: "SELECT repeat('x', 1000000) UNION ALL SELECT repeat('y', 1000000)" });
    expect(measured).to.include({ state: State.CRITICAL, message: 'the server says more than 1 MiB' });
  });
});
