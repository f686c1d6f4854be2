// Receive windows by what HTTP/2 says on the wire, not by how long something takes; and the guard that notices when
// grpc-js changes.
import { once } from 'node:events';
import { type ClientHttp2Session, connect, type Settings } from 'node:http2';
import { Server } from '@grpc/grpc-js';
import { expect } from 'chai';
import { LinkServiceService } from '../../gen/occmesh/link/v1/link.js';
import { ContractFault } from '../../src/contract/fault.js';
import { DEFAULT_LIMITS } from '../../src/contract/limits.js';
import { createInjector } from '../../src/contract/windows.js';
import { Edge } from './edge.js';

const MIB = 1024 * 1024;

/** A bare HTTP/2 client, and the settings it has been told in the end. */
async function session(edge: Edge, until: (settings: Settings) => boolean): Promise<ClientHttp2Session> {
  const client = connect(`https://127.0.0.1:${edge.port}`, {
    ca: edge.pki.authority.ca,
    cert: edge.pki.hub.cert,
    key: edge.pki.hub.key,
  });
  while (!until(client.remoteSettings ?? {})) await once(client, 'remoteSettings');
  return client;
}

describe('receive windows', () => {
  it('are raised for streams and for the connection', async () => {
    const windows = { stream: 3 * MIB, connection: 5 * MIB };
    await using edge = await Edge.make({ limits: { windows, streamsPerConnection: 77, metadataBytes: 9_000 } });
    await edge.listener.start();
    const client = await session(edge, (settings) => settings.initialWindowSize === windows.stream);
    expect(client.remoteSettings).to.include({ maxConcurrentStreams: 77, maxHeaderListSize: 9_000 });
    // The WINDOW_UPDATE of the connection is not a setting: it is seen once a ping sent after it has been answered.
    await new Promise((resolve) => client.ping(resolve));
    expect(client.state.remoteWindowSize).to.equal(windows.connection);
    client.close();
    await once(client, 'close');
  });

  it('let a sender put more than 64 KiB in flight to a handler that does not read', async () => {
    const message = Buffer.alloc(2 * MIB);
    message.writeUInt32BE(message.length - 5, 1);
    await using edge = await Edge.make();
    let release: () => void = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    edge.listener.add(LinkServiceService, { link: () => held });
    await edge.listener.start();
    const client = await session(edge, (settings) => settings.initialWindowSize === DEFAULT_LIMITS.windows.stream);
    const request = client.request({
      ':method': 'POST',
      ':path': LinkServiceService.link.path,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    request.on('error', () => {});
    await new Promise<void>((resolve, reject) => {
      request.write(message, (error) => (error ? reject(error) : resolve()));
    });
    // Nothing but the window let it go: with the 64 KiB of grpc-js the write above never ends.
    expect(client.remoteSettings.initialWindowSize).to.be.greaterThan(message.length);
    release();
    client.destroy();
  });

  it('refuse metadata over the limit', async () => {
    await using edge = await Edge.make({ limits: { metadataBytes: 4_096 } });
    edge.listener.add(LinkServiceService, { link: async () => {} });
    await edge.listener.start();
    const client = await session(edge, (settings) => settings.maxHeaderListSize === 4_096);
    await new Promise((resolve) => client.ping(resolve));
    const status = async (length: number) => {
      const request = client.request({
        ':method': 'POST',
        ':path': LinkServiceService.link.path,
        'content-type': 'application/grpc',
        te: 'trailers',
        filler: 'x'.repeat(length),
      });
      request.end();
      return Promise.race([
        once(request, 'response').then(([headers]) => Number(headers['grpc-status'] ?? 0)),
        once(request, 'close').then(() => `reset ${request.rstCode}`),
      ]).catch((error: Error) => error.message);
    };
    expect(await status(100)).to.equal(0);
    expect(await status(5_000)).to.be.a('string');
    client.destroy();
  });

  it('fail loudly when grpc-js keeps its HTTP/2 servers elsewhere', () => {
    const server = new Server();
    Reflect.set(server, 'http2Servers', new Map());
    const make = () => {
      // What the injector itself writes into the map goes nowhere either.
      Reflect.get(server, 'http2Servers').set = () => {};
      return createInjector(server, DEFAULT_LIMITS, () => {});
    };
    expect(make).to.throw(ContractFault).with.property('code', 'contract.library-changed');
  });
});
