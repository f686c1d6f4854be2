// Kind `tcp`: connects, optionally says something and waits for an expected answer.
import { connect, type Socket } from 'node:net';
import { tcp as description, type TcpSettings } from '../catalogue/tcp.js';
import type { Measurement, SensorKind, SensorModules } from '../kind.js';
import { critical, verdictOn } from '../network-verdict.js';
import { round } from '../rounding.js';

const MAX_ANSWER = 65_536;

/** Resolves once connected. Aborting destroys the socket for good, also later. */
function connected(settings: TcpSettings, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: settings.host, port: settings.port });
    const abort = () => socket.destroy(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    socket.on('close', () => signal.removeEventListener('abort', abort));
    socket.on('error', reject);
    socket.once('connect', () => resolve(socket));
  });
}

/** Whether the text turned up before the answer ended or grew too long. */
async function answers(socket: Socket, expected: string): Promise<boolean> {
  let answer = Buffer.alloc(0);
  for await (const chunk of socket) {
    answer = Buffer.concat([answer, chunk]).subarray(0, MAX_ANSWER);
    if (answer.includes(expected)) return true;
    if (answer.length === MAX_ANSWER) return false;
  }
  return false;
}

async function measure(settings: TcpSettings, { clock }: SensorModules, signal: AbortSignal): Promise<Measurement> {
  const started = clock.monotonic();
  const since = (name: string) => ({ name, unit: 'ms', value: round(clock.monotonic() - started, 1) });
  const socket = await connected(settings, signal);
  try {
    const values = [since('connect')];
    if (settings.send !== undefined) socket.write(settings.send);
    if (settings.expect === undefined) return { values };
    if (!(await answers(socket, settings.expect))) return critical('the expected text did not come', values);
    return { values: [...values, since('answer')] };
  } finally {
    socket.destroy();
  }
}

export const tcp: SensorKind<TcpSettings> = {
  ...description,
  create: (settings, modules) => ({
    async measure(signal) {
      signal.throwIfAborted();
      return measure(settings, modules, signal).catch((thrown) => verdictOn(thrown, signal));
    },
  }),
};
