// Where Prometheus finds latest readings: GET /metrics by HTTP/1.1 over TLS on a port of its own, with an API token that
// may read them (`authorization: Bearer …`), of one customer with `?customer=ID`. A text is made and sent piece by piece:
// it takes no more memory however long it is, and between pieces everybody else has a turn.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { pipeline } from 'node:stream/promises';
import type { TLSSocket } from 'node:tls';
import { createGzip } from 'node:zlib';
import { status as Status } from '@grpc/grpc-js';
import { ReadingServiceService } from '../../../gen/occmesh/readings/v1/readings.js';
import type { AccessOptions } from '../../contract/access.js';
import { bearerIn, type Principal, permitted } from '../../contract/callers.js';
import { ApiFault } from '../../contract/fault.js';
import { Oddities } from '../../contract/oddities.js';
import { StatusTranslator } from '../../contract/status.js';
import { type CertificateOptions, peerOf, TlsPort } from '../../contract/tls-port.js';
import type { Timer } from '../../kernel/clock.js';
import { defined } from '../../kernel/defined.js';
import { type Duration, seconds } from '../../kernel/duration.js';
import { describe } from '../../kernel/fault.js';
import type { Logger } from '../../kernel/log.js';
import type { Random } from '../../kernel/random.js';
import type { Stoppable } from '../../kernel/scope.js';
import { turn } from '../../kernel/turn.js';
import { View } from '../api/tenancy.js';
import type { Inventory } from '../inventory/inventory.js';
import { type LatestTextModules, latestText } from './latest-text.js';
import { CONTENT_TYPE } from './text.js';

export interface OpenMetricsOptions extends CertificateOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly access: Pick<AccessOptions, 'rules' | 'scopes' | 'authenticate' | 'enter'>;
}

export interface OpenMetricsModules extends LatestTextModules {
  readonly inventory: Inventory;
  readonly log: Logger;
  readonly random: Random;
}

const LIMITS = { connections: 64, connectionsPerAddress: 16, handshake: seconds(10) };
/** With whoever has not asked yet, by name: places are few. */
const PATIENCE_WITH_STRANGERS = seconds(10);
/** Of a connection, which is for one request: Prometheus itself gives up after 10 s unless it is told otherwise. */
const PATIENCE = seconds(60);
/** Texts that are on their way for one token. */
const MOST_AT_ONCE = 2;
/** Characters that are sent at once, and pieces that are looked at without a turn for others. */
const [CHUNK, PIECES] = [32 * 1_024, 500];
/** Latest readings are told here to whom the API tells them. */
const RULE = ReadingServiceService.getLatest.path;

const HTTP: { readonly [code: number]: number } = {
  [Status.INVALID_ARGUMENT]: 400,
  [Status.UNAUTHENTICATED]: 401,
  [Status.PERMISSION_DENIED]: 403,
  [Status.NOT_FOUND]: 404,
  [Status.RESOURCE_EXHAUSTED]: 429,
};

export class OpenMetricsPort implements Stoppable {
  readonly #port: TlsPort;
  readonly #server: Server;
  readonly #translator: StatusTranslator;
  readonly #underWay = new Map<string, number>();
  readonly #impatience = new Map<Socket, Timer>();

  private constructor(
    private readonly options: OpenMetricsOptions,
    private readonly modules: OpenMetricsModules,
  ) {
    const { log } = modules;
    this.#translator = new StatusTranslator(modules);
    this.#server = createServer({ maxHeaderSize: 16 * 1_024 }, (request, response) => {
      this.#answer(request, response).catch((thrown) => {
        log.debug({ cause: describe(thrown) }, 'latest readings were not told to the end');
        response.destroy();
      });
    });
    this.#server.on('clientError', (_error, socket) => socket.destroy());
    const http1 = (socket: TLSSocket) => {
      this.#endAfter(PATIENCE_WITH_STRANGERS, socket);
      socket.once('close', () => {
        this.#impatience.get(socket)?.disarm();
        this.#impatience.delete(socket);
      });
      this.#server.emit('connection', socket);
    };
    const handlers = { http1, h2: (socket: TLSSocket) => void socket.destroy() };
    const flag = '--openmetrics-port';
    this.#port = new TlsPort({ ...options, limits: LIMITS, flag }, handlers, log, new Oddities(modules));
  }

  /** Faults: contract.port-in-use, contract.port-forbidden, contract.cannot-listen, contract.bad-certificate. */
  static async start(options: OpenMetricsOptions, modules: OpenMetricsModules): Promise<OpenMetricsPort> {
    const served = new OpenMetricsPort(options, modules);
    await served.#port.start();
    modules.log.info(served.address, 'latest readings are served for Prometheus');
    return served;
  }

  get address(): { readonly address: string; readonly port: number } {
    return this.#port.address;
  }

  setCertificate(certificate: CertificateOptions): void {
    this.#port.setCertificate(certificate);
  }

  stop(): Promise<void> {
    return this.#port.stop();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    request.resume();
    response.setHeader('connection', 'close');
    response.setHeader('cache-control', 'no-store');
    const { pathname, searchParams } = new URL(`https://here${request.url?.startsWith('/') ? request.url : '/'}`);
    if (pathname !== '/metrics') return plain(response, 404, 'Latest readings are at /metrics.');
    if (request.method !== 'GET') {
      response.setHeader('allow', 'GET');
      return plain(response, 405, 'Only GET.');
    }
    const refused = (thrown: unknown) => {
      const { code, details } = this.#translator.toStatus(thrown);
      if (code === Status.UNAUTHENTICATED) response.setHeader('www-authenticate', 'Bearer');
      plain(response, HTTP[code ?? Status.UNKNOWN] ?? 500, details ?? '');
    };
    let leave: () => void = () => undefined;
    try {
      // A scrape is a call, and costs the same budget.
      const view = await this.#view(request, async (principal) => {
        leave = (await this.options.access.enter?.(principal)) ?? leave;
      });
      this.#endAfter(PATIENCE, request.socket);
      const { tokenId } = view.user;
      const others = this.#underWay.get(tokenId) ?? 0;
      if (others >= MOST_AT_ONCE) throw new ApiFault('api.exhausted', 'this token is being answered already');
      const pieces = latestText(view, searchParams.get('customer') ?? '', this.modules);
      const first = pieces.next();
      this.#underWay.set(tokenId, others + 1);
      try {
        await send(request, response, view, first.value ?? '', pieces);
      } finally {
        const left = (this.#underWay.get(tokenId) ?? 1) - 1;
        if (left > 0) this.#underWay.set(tokenId, left);
        else this.#underWay.delete(tokenId);
      }
    } catch (thrown) {
      // Too late for other words: without its end the text is not taken over.
      if (response.headersSent) throw thrown;
      refused(thrown);
    } finally {
      leave();
    }
  }

  #endAfter(patience: Duration, socket: Socket): void {
    this.#impatience.get(socket)?.disarm();
    if (socket.destroyed) return;
    const timer = this.modules.clock.after(patience, () => socket.destroy());
    this.#impatience.set(socket, timer);
  }

  async #view(request: IncomingMessage, enter: (principal: Principal) => Promise<void>): Promise<View> {
    const { authorization } = request.headers;
    const bearer = bearerIn(authorization === undefined ? [] : [authorization]);
    const credentials = { path: RULE, peer: peerOf(request.socket), ...defined({ bearer }) };
    return View.of(this.modules.inventory, await permitted(this.options.access, credentials, enter));
  }
}

async function send(
  request: IncomingMessage,
  response: ServerResponse,
  view: View,
  first: string,
  pieces: Iterable<string>,
): Promise<void> {
  const chunks = async function* () {
    let chunk = first;
    let looked = 0;
    for (const piece of pieces) {
      chunk += piece;
      looked += 1;
      if (chunk.length < CHUNK && looked < PIECES) continue;
      view.requireToken();
      yield chunk;
      [chunk, looked] = ['', 0];
      await turn();
    }
    yield chunk;
  };
  response.writeHead(200, {
    'content-type': CONTENT_TYPE,
    ...(isGzipWanted(request) && { 'content-encoding': 'gzip' }),
  });
  if (isGzipWanted(request)) await pipeline(chunks, createGzip({ level: 1 }), response);
  else await pipeline(chunks, response);
}

const isGzipWanted = ({ headers }: IncomingMessage): boolean =>
  /(^|,)\s*gzip\s*(;\s*q=(1|0\.\d*[1-9])[\d.]*\s*)?(,|$)/i.test(String(headers['accept-encoding'] ?? ''));

function plain(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(`${text}\n`);
}
