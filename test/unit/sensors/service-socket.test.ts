// A connection that is lent to a library: whatever the library does with it, the run has an end and nothing is left.
import { once } from 'node:events';
import { expect } from 'chai';
import { State } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { systemClock } from '../../../src/kernel/clock.js';
import { SensorFault } from '../../../src/sensors/fault.js';
import type { Measurement } from '../../../src/sensors/kind.js';
import { type ServiceSocket, visit } from '../../../src/sensors/service-socket.js';
import { tcpServer } from './kinds/servers.js';

const host = '127.0.0.1';
const go = (
  port: number,
  talk: (socket: ServiceSocket) => Promise<Measurement>,
  signal = new AbortController().signal,
) => visit({ host, port }, systemClock, signal, talk);
const never = () => new Promise<never>(() => undefined);

describe('sensors/service-socket', () => {
  it('a library that throws at what it hears ends the connection, not the hub', async () => {
    await using server = await tcpServer((socket) => socket.write('nonsense'));
    const measured = await go(server.port, async (socket) => {
      socket.on('data', () => {
        throw new Error('cannot be read');
      });
      return await never();
    });
    expect(measured).to.deep.equal({ values: [], state: State.CRITICAL, message: 'cannot be read' });
  });

  it('a library that never notices the end is not waited for', async () => {
    await using server = await tcpServer((socket) => socket.end());
    const measured = await go(server.port, async (socket) => {
      socket.resume();
      return await never();
    });
    expect(measured).to.include({ state: State.CRITICAL, message: 'connection closed by the other side' });
  });

  it('a library that ignores the end of the run is not waited for', async () => {
    const control = new AbortController();
    await using server = await tcpServer(() => control.abort(new SensorFault('sensor.timeout', 'timed out')));
    expect(await go(server.port, never, control.signal)).to.include({ message: 'no answer: timed out' });
  });

  it('hears more than its share of no one', async () => {
    await using server = await tcpServer((socket) => socket.end(Buffer.alloc(3_000_000)));
    const measured = await go(server.port, async (socket) => {
      for await (const _ of socket);
      return { values: [] };
    });
    expect(measured).to.include({ state: State.CRITICAL, message: 'the server says more than 1 MiB' });
  });

  it('passes on what is said, both ways, and closes when all is well', async () => {
    let closed: Promise<unknown> = Promise.resolve();
    await using server = await tcpServer((socket) => {
      closed = once(socket, 'close');
      socket.on('data', (data) => socket.write(`you said ${data}`));
    });
    let heard = '';
    const measured = await go(server.port, async (socket) => {
      socket.write('hello');
      heard = String((await once(socket, 'data'))[0]);
      return { values: [] };
    });
    expect([heard, measured]).to.deep.equal(['you said hello', { values: [] }]);
    await closed;
  });

  it('a fault of the sensor stays one', async () => {
    await using server = await tcpServer(() => undefined);
    const fault = new SensorFault('sensor.refused', 'no');
    const thrown = await go(server.port, () => Promise.reject(fault)).catch((error) => error);
    expect(thrown).to.equal(fault);
  });
});
