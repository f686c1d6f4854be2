// Where Prometheus looks: GET /metrics by HTTP/1.1 on a port of its own, of this machine only unless somebody names
// another address. One page, no input but its path; what is asked for too often or too slowly is cut off.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Fault } from '../kernel/fault.js';
import type { Stoppable } from '../kernel/scope.js';
import { systemCode } from '../kernel/system-error.js';

export type MetricsCode =
  /** Somebody else has it. */
  | 'metrics.port-in-use'
  /** Not for this user, or no address of this machine. */
  | 'metrics.cannot-listen';

export class MetricsFault extends Fault<MetricsCode> {}

/** What is told. */
export interface Page {
  readonly contentType: string;
  text(): Promise<string>;
}

export interface MetricsServerOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
}

const MOST_CONNECTIONS = 16;
const PATIENCE_MS = 10_000;
const MOST_HEADER_BYTES = 8 * 1024;

export class MetricsServer implements Stoppable {
  readonly #server: Server;
  /** One look at a time; whoever asks meanwhile gets the same. */
  #looking: Promise<string> | undefined;

  private constructor(private readonly page: Page) {
    this.#server = createServer(
      {
        maxHeaderSize: MOST_HEADER_BYTES,
        requestTimeout: PATIENCE_MS,
        headersTimeout: PATIENCE_MS,
        keepAliveTimeout: PATIENCE_MS,
        connectionsCheckingInterval: PATIENCE_MS,
      },
      (request, response) => {
        this.#answer(request, response).catch(() => response.destroy());
      },
    );
    this.#server.maxConnections = MOST_CONNECTIONS;
    this.#server.timeout = PATIENCE_MS;
  }

  /** Faults: metrics.port-in-use, metrics.cannot-listen. */
  static async start({ host, port }: MetricsServerOptions, page: Page): Promise<MetricsServer> {
    const server = new MetricsServer(page);
    await new Promise<void>((resolve, reject) => {
      server.#server.once('error', (error) => reject(notListening(host, port, error)));
      server.#server.listen({ host, port, exclusive: true }, resolve);
    });
    return server;
  }

  get address(): { readonly address: string; readonly port: number } {
    const { address, port } = this.#server.address() as AddressInfo;
    return { address, port };
  }

  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // Nobody sends a body here; what comes all the same is not kept.
    request.resume();
    const path = request.url?.split('?')[0];
    if (path !== '/metrics') return plain(response, 404, 'Metrics are at /metrics.\n');
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('Allow', 'GET, HEAD');
      return plain(response, 405, 'Only GET.\n');
    }
    this.#looking ??= this.page.text().finally(() => {
      this.#looking = undefined;
    });
    const text = await this.#looking.catch(() => undefined);
    if (text === undefined) return plain(response, 500, 'The metrics could not be put together; see the log.\n');
    response.writeHead(200, { 'Content-Type': this.page.contentType, 'Cache-Control': 'no-store' }).end(text);
  }
}

function plain(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8' }).end(text);
}

function notListening(host: string, port: number, cause: Error): MetricsFault {
  const where = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  const options = { cause, permanent: true, advice: 'Choose another with --metrics-port, or leave it out.' };
  return systemCode(cause) === 'EADDRINUSE'
    ? new MetricsFault('metrics.port-in-use', `the port for metrics, ${where}, is in use`, options)
    : new MetricsFault('metrics.cannot-listen', `metrics cannot be served at ${where}: ${cause.message}`, options);
}
