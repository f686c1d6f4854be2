// Kind `redis` without a server of its own. Against a real one: test/interop/sensors.
import { expect } from 'chai';
import { State } from '../../../../gen/occmesh/telemetry/v1/telemetry.js';
import { infoValues, redis } from '../../../../src/sensors/kinds/redis.js';
import { measure } from '../support.js';
import { tcpServer } from './servers.js';
import { serviceSuite } from './service-suite.js';

describe('sensors/kinds: redis', () => {
  serviceSuite({
    kind: redis,
    ways: [{ user: 'anna' }, { tls: false }],
    changes: [{ user: 'bert' }, { tls: false }, { verifyTls: false }, { serverName: 'b.example' }],
  });

  it('an answer without end is cut off, also within the protocol', async () => {
    await using server = await tcpServer((socket) => {
      socket.on('data', (data) => {
        if (data.includes('PING')) socket.write('+PONG\r\n');
        if (!data.includes('INFO')) return;
        socket.write('$100000000\r\n');
        const write = () => {
          while (!socket.destroyed && socket.write(Buffer.alloc(65_536, 'x')));
        };
        socket.on('drain', write);
        write();
      });
    });
    const measured = await measure(redis, { host: '127.0.0.1', port: server.port, tls: false });
    expect(measured).to.include({ state: State.CRITICAL, message: 'the server says more than 1 MiB' });
  });

  it('reads what a server says of itself, and takes nothing else for a number', () => {
    const info =
      '# Memory\r\nused_memory:1024\r\nconnected_clients:x\r\ndb0:keys=3,expires=1\r\ndb7:keys=4,expires=0\r\n';
    expect(infoValues(info)).to.deep.equal({
      values: [
        { name: 'memory', unit: 'By', value: 1_024 },
        { name: 'keys', unit: '', value: 7 },
      ],
      masterIsLost: false,
    });
    expect(infoValues('role:slave\r\nmaster_link_status:down\r\n').masterIsLost).to.equal(true);
  });
});
