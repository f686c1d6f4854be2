// A web page behind a password, on loopback: what a sensor of the demo watches with a sealed secret.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Random, systemRandom } from '../kernel/random.js';
import type { Stoppable } from '../kernel/scope.js';

export interface GuardedPage extends Stoppable {
  readonly url: string;
  readonly user: string;
  readonly password: string;
}

export async function openGuardedPage(random: Random = systemRandom): Promise<GuardedPage> {
  const [user, password] = ['demo', random.bytes(12).toString('base64url')];
  const expected = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
  const server = createServer((request, response) => {
    const isKnown = request.headers.authorization === expected;
    response.writeHead(isKnown ? 200 : 401, { 'www-authenticate': 'Basic' }).end(isKnown ? 'welcome' : 'who are you?');
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const stop = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { url: `http://127.0.0.1:${port}/`, user, password, stop };
}
