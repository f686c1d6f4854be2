// One HTTP exchange with its phases timed, bounded in everything the server decides. Redirects are for the caller.
import type { ClientRequest, IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import type { Clock } from '../kernel/clock.js';
import { defined } from '../kernel/defined.js';
import type { MetricValue } from './kind.js';
import { round } from './rounding.js';

export interface HttpRequest {
  readonly url: URL;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
  readonly verifyTls: boolean;
  readonly ca: string | undefined;
  /** Bytes of the body to read; the rest is not fetched. */
  readonly maxBody: number;
}

export interface HttpResponse {
  readonly status: number;
  readonly location: string | undefined;
  readonly body: Buffer;
  /** The body is longer than was read. */
  readonly cut: boolean;
  /** Milliseconds from the beginning of this exchange to the end of each phase. */
  readonly phases: MetricValue[];
}

async function send(request: HttpRequest): Promise<ClientRequest> {
  // Both are imported by the first run: a hub without such a sensor never loads them.
  const options = {
    method: request.method,
    // Compressed bodies cannot be searched, and every run shall show the way from the beginning: no kept connection.
    headers: { 'user-agent': 'occ-mesh', 'accept-encoding': 'identity', ...request.headers },
    agent: false,
    maxHeaderSize: 32_768,
  };
  if (request.url.protocol === 'http:') return (await import('node:http')).request(request.url, options);
  const tls = { rejectUnauthorized: request.verifyTls, ...defined({ ca: request.ca }) };
  return (await import('node:https')).request(request.url, { ...options, ...tls });
}

async function readBody(response: IncomingMessage, limit: number): Promise<{ body: Buffer; cut: boolean }> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response) {
    chunks.push(chunk);
    size += chunk.length;
    if (size > limit) break;
  }
  return { body: Buffer.concat(chunks).subarray(0, limit), cut: size > limit };
}

/** Rejects with the error of the connection, or with the signal's reason. Leaves no socket behind. */
export async function exchange(request: HttpRequest, clock: Clock, signal: AbortSignal): Promise<HttpResponse> {
  signal.throwIfAborted();
  const started = clock.monotonic();
  const phases: MetricValue[] = [];
  const mark = (name: string) => {
    phases.push({ name, unit: 'ms', value: round(clock.monotonic() - started, 1) });
  };
  const outgoing = await send(request);
  const abort = () => outgoing.destroy(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  outgoing.once('socket', (socket) => {
    socket.once('connect', () => mark('connect'));
    (socket as TLSSocket).once('secureConnect', () => mark('tls'));
  });
  try {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      outgoing.once('response', resolve).on('error', reject);
      outgoing.once('upgrade', () => reject(new Error('the server wants to speak another protocol')));
      outgoing.end(request.body);
    });
    mark('first-byte');
    const { body, cut } = await readBody(response, request.maxBody);
    mark('total');
    return { status: response.statusCode ?? 0, location: response.headers.location, body, cut, phases };
  } finally {
    signal.removeEventListener('abort', abort);
    outgoing.destroy();
  }
}
