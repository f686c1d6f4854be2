// The gRPC server of a tier: one TLS port, the access interceptor in front of every service, limits, and an orderly
// end. It is put together here; the parts are tls-port.ts, windows.ts, access.ts and handlers.ts.
import type { ServerHttp2Session } from 'node:http2';
import { Server, type UntypedServiceImplementation } from '@grpc/grpc-js';
import type { Clock } from '../kernel/clock.js';
import { type Duration, seconds } from '../kernel/duration.js';
import type { Logger } from '../kernel/log.js';
import type { Random } from '../kernel/random.js';
import type { Stoppable } from '../kernel/scope.js';
import { type AccessOptions, accessInterceptor } from './access.js';
import { ContractFault } from './fault.js';
import {
  type ByteStreamFunction,
  byteStreamHandler,
  type HandlerModules,
  type Implementation,
  type ServerStreamFunction,
  serverStreamHandler,
  type UnaryFunction,
  unaryHandler,
} from './handlers.js';
import { Signpost } from './http1.js';
import { DEFAULT_LIMITS, type ListenerLimits } from './limits.js';
import { Oddities } from './oddities.js';
import { type AnyMethod, type AnyService, rawMethod } from './service.js';
import { StatusTranslator } from './status.js';
import { type FinishedCall, timingInterceptor } from './timing.js';
import { type CertificateOptions, type PortCounters, peerOf, TlsPort } from './tls-port.js';
import { createInjector, type Injector } from './windows.js';

export interface ListenerOptions extends CertificateOptions {
  /** The address to listen on; `::` for all, IPv4 too. */
  readonly host: string;
  /** 0: any free one, see `address`. */
  readonly port: number;
  readonly access: AccessOptions;
  readonly limits?: Partial<ListenerLimits>;
  /** How long calls that are under way may go on after stop(). Default 5 s. */
  readonly grace?: Duration;
}

export interface ListenerModules {
  readonly clock: Clock;
  readonly log: Logger;
  readonly random: Random;
  /** Default: one with the standard table. */
  readonly translator?: StatusTranslator;
  /** Told of each call of a served method when it is over. */
  readonly onCall?: (call: FinishedCall) => void;
}

/** How many connections so far, by what became of them, and how many are open. */
export interface ListenerCounters extends Readonly<PortCounters> {
  /** Spoke TLS, but no HTTP/2 in time. */
  readonly silent: number;
  readonly open: number;
}

export class GrpcListener implements Stoppable {
  readonly #server: Server;
  readonly #injector: Injector;
  readonly #port: TlsPort;
  readonly #limits: ListenerLimits;
  readonly #handlers: HandlerModules;
  readonly #oddities: Oddities;
  readonly #sessions = new Set<ServerHttp2Session>();
  #silent = 0;
  #stopping: Promise<void> | undefined;

  /** Faults: contract.bad-certificate, contract.library-changed. */
  constructor(
    private readonly options: ListenerOptions,
    private readonly modules: ListenerModules,
  ) {
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
    const translator = modules.translator ?? new StatusTranslator(modules);
    this.#oddities = new Oddities(modules);
    this.#handlers = { clock: modules.clock, translator };
    const interceptor = accessInterceptor(
      { ...options.access, limits: this.#limits },
      {
        clock: modules.clock,
        translator,
        onRefused: (details) => this.#oddities.note(details, 'a call was refused'),
        streamOfNewCall: () => this.#injector.streamOfNewCall(),
      },
    );
    const timing = modules.onCall ? [timingInterceptor(modules.onCall, modules.clock)] : [];
    this.#server = new Server({ ...channelArguments(this.#limits), interceptors: [...timing, interceptor] });
    this.#injector = createInjector(this.#server, this.#limits, (session) => this.#welcome(session));
    const signpost = new Signpost(this.#limits.handshake, modules.clock);
    this.#port = new TlsPort(
      { ...options, limits: this.#limits },
      {
        h2: (socket) => this.#injector.connections.injectConnection(socket),
        http1: (socket) => {
          this.#oddities.note({ peer: peerOf(socket) }, 'HTTP/1.1 where gRPC is spoken');
          signpost.answer(socket);
        },
      },
      modules.log,
      this.#oddities,
    );
  }

  /** Where it listens. Throws before start(). */
  get address(): { readonly address: string; readonly port: number } {
    return this.#port.address;
  }

  get counters(): ListenerCounters {
    return { ...this.#port.counters, silent: this.#silent, open: this.#port.open };
  }

  /** Serves a service. Every method needs an access rule; faults: contract.no-rule. */
  add<S extends AnyService>(service: S, implementation: Implementation<S>): void {
    const definition: { [name: string]: AnyMethod } = {};
    const handlers: UntypedServiceImplementation = {};
    for (const [name, method] of Object.entries<AnyMethod>(service)) {
      if (!this.options.access.rules.has(method.path)) {
        throw new ContractFault('contract.no-rule', `the contract does not say who may call ${method.path}`, {
          permanent: true,
        });
      }
      const run = functionOf(implementation, name);
      const served = serve(method, run, this.#handlers);
      definition[name] = served.method;
      handlers[name] = served.handler;
    }
    this.#server.addService(definition as Parameters<Server['addService']>[0], handlers);
  }

  /** Faults: contract.port-in-use, contract.port-forbidden, contract.cannot-listen. */
  start(): Promise<void> {
    return this.#port.start();
  }

  /** New connections see it; those that are open keep what they began with. Faults: contract.bad-certificate. */
  setCertificate(certificate: CertificateOptions): void {
    this.#port.setCertificate(certificate);
  }

  /** No new connections and calls; calls under way may finish within the grace; then everything is closed. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    this.#port.close();
    // Its callback is not waited for: with Node 24, whose HTTP/2 server closes its sessions itself, grpc-js believes at
    // once that they are gone, calls under way or not.
    this.#server.tryShutdown(() => {});
    await new Promise<void>((resolve) => {
      const impatience = this.modules.clock.after(this.options.grace ?? seconds(5), resolve);
      const gone = [...this.#sessions].map((session) => new Promise<void>((over) => session.once('close', over)));
      void Promise.all(gone).then(() => {
        impatience.disarm();
        resolve();
      });
    });
    this.#server.forceShutdown();
    await this.#port.stop();
  }

  /** A connection that speaks TLS and then nothing must not stay: the first SETTINGS prove HTTP/2. */
  #welcome(session: ServerHttp2Session): void {
    const peer = session.socket.remoteAddress;
    const impatience = this.modules.clock.after(this.#limits.handshake, () => {
      this.#silent += 1;
      this.#oddities.note({ peer }, 'no HTTP/2 in time');
      session.destroy();
    });
    session.once('remoteSettings', () => impatience.disarm());
    this.#sessions.add(session);
    session.once('close', () => {
      impatience.disarm();
      this.#sessions.delete(session);
    });
    session.on('error', (error) => this.#oddities.note({ peer, cause: error.message }, 'an HTTP/2 session broke'));
  }
}

function channelArguments(limits: ListenerLimits) {
  return {
    'grpc.max_receive_message_length': limits.messageBytes,
    'grpc.max_send_message_length': limits.messageBytes,
    'grpc.max_concurrent_streams': limits.streamsPerConnection,
    'grpc-node.max_session_memory': limits.sessionMemoryMiB,
    'grpc.keepalive_time_ms': limits.keepalive,
    'grpc.keepalive_timeout_ms': limits.keepaliveTimeout,
    'grpc.enable_channelz': 0,
  };
}

/** Implementations may be objects of a class, whose methods need their `this`. */
function functionOf(implementation: object, name: string): (...input: unknown[]) => unknown {
  const run: unknown = Reflect.get(implementation, name);
  if (typeof run !== 'function') throw new TypeError(`${name} is not implemented`);
  return (...input) => Reflect.apply(run, implementation, input);
}

/** Streams are registered raw: both ways because they pass bytes, from the server because bytes are to be counted. */
function serve(
  method: AnyMethod,
  run: unknown,
  modules: HandlerModules,
): { method: AnyMethod; handler: UntypedHandler } {
  if (method.requestStream) {
    if (!method.responseStream) throw new TypeError(`${method.path}: client streaming is not served here`);
    return { method: rawMethod(method), handler: byteStreamHandler(run as ByteStreamFunction, modules) };
  }
  if (method.responseStream) {
    const serialize = method.responseSerialize as (value: unknown) => Buffer;
    return {
      method: { ...method, responseSerialize: rawMethod(method).responseSerialize },
      handler: serverStreamHandler(run as ServerStreamFunction<unknown, unknown>, serialize, modules),
    };
  }
  return { method, handler: unaryHandler(run as UnaryFunction<unknown, unknown>, modules) };
}

type UntypedHandler = UntypedServiceImplementation[string];
