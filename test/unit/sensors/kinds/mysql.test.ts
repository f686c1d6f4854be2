// Kind `mysql` without a server of its own: who gets the password, and what a server may not ask for. Against a real
// server: test/interop/sensors.
import type { Socket } from 'node:net';
import { expect } from 'chai';
import { State } from '../../../../gen/occmesh/telemetry/v1/telemetry.js';
import { mysql } from '../../../../src/sensors/kinds/mysql.js';
import { measure, secretsOf } from '../support.js';
import { tcpServer } from './servers.js';
import { serviceSuite } from './service-suite.js';

const packet = (sequence: number, body: Buffer) =>
  Buffer.concat([Buffer.from([body.length & 0xff, body.length >> 8, 0, sequence]), body]);

const CLIENT_SSL = 0x0800;
const CLIENT_LOCAL_FILES = 0x0080;
const CLIENT_MULTI_STATEMENTS = 0x0001_0000;

/** The first packet of a server (protocol 41, mysql_native_password). */
function greeting(capabilities: number): Buffer {
  const all = 0x000f_a285 | capabilities;
  const body = Buffer.concat([
    Buffer.from('\x0a8.0.0\0', 'latin1'),
    Buffer.from([1, 0, 0, 0]),
    Buffer.from('saltsalt\0'),
    Buffer.from([all & 0xff, (all >> 8) & 0xff, 0x21, 2, 0, (all >> 16) & 0xff, (all >> 24) & 0xff, 21]),
    Buffer.alloc(10),
    Buffer.from('saltsaltsalt\0mysql_native_password\0'),
  ]);
  return packet(0, body);
}

const OK = Buffer.from([0, 0, 0, 2, 0, 0, 0]);

/** Takes any login, and answers every query with this. */
const fake = (seen: Buffer[], answer: Buffer) =>
  tcpServer((socket: Socket) => {
    socket.write(greeting(0));
    socket.on('data', (data) => {
      seen.push(data);
      if (seen.length <= 2) socket.write(seen.length === 1 ? packet(2, OK) : packet(1, answer));
      else socket.end();
    });
  });

describe('sensors/kinds: mysql', () => {
  const host = '127.0.0.1';
  const serverName = 'a.example';

  serviceSuite({
    kind: mysql,
    ways: [
      { user: 'anna', serverName },
      { user: 'anna', tls: false, query: 'SELECT 1' },
    ],
    changes: [
      { user: 'bert' },
      { database: 'other' },
      { tls: false },
      { verifyTls: false },
      { serverName: 'b.example' },
    ],
  });

  it('the password goes to nobody who does not offer TLS, unless it was said', async () => {
    const seen: Buffer[] = [];
    await using server = await fake(seen, OK);
    const place = { host, port: server.port, user: 'anna', serverName };
    const measured = await measure(mysql, place, new AbortController().signal, secretsOf({ password: 'hunter2' }));
    expect(measured).to.include({ state: State.CRITICAL, message: 'Server does not support secure connection' });
    expect(seen).to.deep.equal([]);
  });

  it('no server gets a file of this machine, or a second statement', async () => {
    const seen: Buffer[] = [];
    const localInfile = Buffer.from('\xfb/etc/passwd', 'latin1');
    await using server = await fake(seen, localInfile);
    const settings = { host, port: server.port, user: 'anna', tls: false, query: 'SELECT 1' };
    expect(await measure(mysql, settings)).to.have.property('state', State.CRITICAL);
    const capabilities = seen[0]?.readUInt32LE(4) ?? -1;
    expect(capabilities & (CLIENT_LOCAL_FILES | CLIENT_MULTI_STATEMENTS | CLIENT_SSL)).to.equal(0);
    expect(Buffer.concat(seen).toString('latin1')).to.not.include('root:');
  });

  it('wants a name to verify', () => {
    for (const settings of [{ host }, { host: '::1' }, { host: 'a.example', serverName: '10.0.0.1' }]) {
      expect(mysql.settings.safeParse({ user: 'anna', ...settings }).success).to.equal(false);
      expect(mysql.settings.safeParse({ user: 'anna', ...settings, verifyTls: false }).success).to.equal(true);
    }
    expect(mysql.settings.safeParse({ user: 'anna', host, serverName }).success).to.equal(true);
  });
});
