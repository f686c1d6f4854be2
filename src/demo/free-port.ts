// TCP ports for processes that are to be found again at the same place after they were killed.
import { createServer } from 'node:net';
import { systemRandom } from '../kernel/random.js';
import { systemCode } from '../kernel/system-error.js';

/**
 * Below those that systems give to whoever does not ask for one (from 32768 on Linux, 49152 elsewhere: RFC 6335): while the
 * process is away, any connection might get one of those.
 */
const [FROM, UNTIL] = [20_000, 32_768];
const TRIES = 100;

/** One of 127.0.0.1 that was free a moment ago. */
export async function freePort(random: Pick<typeof systemRandom, 'uniform'> = systemRandom): Promise<number> {
  for (let left = TRIES; left > 0; left--) {
    const port = FROM + Math.floor(random.uniform() * (UNTIL - FROM));
    if (await isFree(port)) return port;
  }
  throw new Error(`no TCP port from ${FROM} to ${UNTIL - 1} is free`);
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve));
  } catch (thrown) {
    if (systemCode(thrown) === 'EADDRINUSE') return false;
    throw thrown;
  }
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return true;
}
