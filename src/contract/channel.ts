// One connection to one server, for any number of calls. It connects at the first call and again at the next one after
// a loss; between failed tries grpc-js waits on its own, so whoever keeps a schedule (a fleet that must not come back
// at once) opens a new channel per try and closes the one that failed.
import { Client, connectivityState, type ServiceError, type StatusObject } from '@grpc/grpc-js';
import type { Clock } from '../kernel/clock.js';
import { type Duration, seconds } from '../kernel/duration.js';
import type { Logger } from '../kernel/log.js';
import { RECONNECT } from '../kernel/retry.js';
import type { Stoppable } from '../kernel/scope.js';
import type { ByteStream } from './byte-stream.js';
import { byteStream, type CallModules, type CallOptions, serverStream, unary } from './calls.js';
import { type ClientTls, Dialler } from './dial.js';
import { ContractFault } from './fault.js';
import { DEFAULT_LIMITS } from './limits.js';
import { parseProxy } from './proxy.js';
import type { AnyMethod, RequestOf, ResponseOf } from './service.js';
import { fromStatus } from './status.js';

export interface GrpcChannelOptions {
  /** `host:port`, `[IPv6]:port`. */
  readonly address: string;
  readonly tls: ClientTls;
  /** `http://[user:password@]host:port`. Default and on a LAN: none. The environment is never looked at. */
  readonly proxy?: string;
  /** From TCP connection to HTTP/2. Default 20 s. */
  readonly connectWithin?: Duration;
  /** Bytes that the server may have in flight towards us. Default 4 MiB. */
  readonly windowBytes?: number;
  /** Bytes of one received message. Default as for listeners. */
  readonly messageBytes?: number;
  /** A silent connection is probed this often; one that does not answer within 10 s is lost. Default 20 s. */
  readonly keepalive?: Duration;
}

export interface ChannelModules {
  readonly clock: Clock;
  readonly log: Logger;
}

/** What ts-proto generates as `…Client`. */
export type ClientConstructor<T> = new (
  address: string,
  credentials: Dialler['credentials'],
  options?: { channelOverride?: ReturnType<Client['getChannel']> },
) => T;

export class GrpcChannel implements Stoppable {
  readonly address: string;
  readonly #dialler: Dialler;
  readonly #client: Client;
  readonly #calls: CallModules;
  readonly #log: Logger;
  #stopping: Promise<void> | undefined;

  /** Faults: contract.bad-setting. Nothing is sent before the first call. */
  constructor(options: GrpcChannelOptions, modules: ChannelModules) {
    const proxy = options.proxy === undefined ? undefined : parseProxy(options.proxy);
    this.address = options.address;
    this.#log = modules.log;
    this.#dialler = new Dialler(
      { address: options.address, host: hostOf(options.address), proxy, within: options.connectWithin ?? seconds(20) },
      options.tls,
      modules.clock,
      () => this.connected,
    );
    this.#client = new Client(`dns:${proxy?.address ?? options.address}`, this.#dialler.credentials, {
      'grpc.default_authority': options.address,
      // Otherwise https_proxy of the environment would also be used for the LAN.
      'grpc.enable_http_proxy': 0,
      'grpc.enable_retries': 0,
      'grpc.enable_channelz': 0,
      'grpc.service_config_disable_resolution': 1,
      // A channel is one connection of its own, and closing it closes that.
      'grpc.use_local_subchannel_pool': 1,
      'grpc.initial_reconnect_backoff_ms': RECONNECT.first,
      'grpc.max_reconnect_backoff_ms': RECONNECT.cap,
      'grpc.max_receive_message_length': options.messageBytes ?? DEFAULT_LIMITS.messageBytes,
      'grpc.max_send_message_length': -1,
      'grpc.keepalive_time_ms': options.keepalive ?? seconds(20),
      'grpc.keepalive_timeout_ms': seconds(10),
      'grpc.keepalive_permit_without_calls': 1,
      'grpc-node.flow_control_window': options.windowBytes ?? DEFAULT_LIMITS.windows.stream,
    });
    this.#calls = { client: this.#client, clock: modules.clock, toFault: (error) => this.explain(error) };
  }

  /** Whether a connection stands at this moment. */
  get connected(): boolean {
    if (this.#stopping) return false;
    return this.#client.getChannel().getConnectivityState(false) === connectivityState.READY;
  }

  /** Used from the next connection on, for example after a renewal. */
  setTls(tls: ClientTls): void {
    this.#dialler.tls = tls;
  }

  /** One request, one answer. Fails with ContractFault, as the others do. */
  async unary<M extends AnyMethod>(
    method: M,
    request: RequestOf<M>,
    options: CallOptions = {},
  ): Promise<ResponseOf<M>> {
    return unary(method, request, options, this.#open());
  }

  /** One request, many answers. Leaving the loop cancels the call. */
  serverStream<M extends AnyMethod>(
    method: M,
    request: RequestOf<M>,
    options: CallOptions = {},
  ): AsyncGenerator<ResponseOf<M>, void, void> {
    return serverStream(method, request, options, this.#open());
  }

  /** Many messages both ways, as bytes. Throws contract.cancelled after stop(). */
  byteStream(method: AnyMethod, options: CallOptions = {}): ByteStream {
    return byteStream(method, options, this.#open());
  }

  /** A generated client on this connection. Its errors are ServiceErrors: see explain(). */
  client<T>(type: ClientConstructor<T>): T {
    return new type(this.address, this.#dialler.credentials, { channelOverride: this.#client.getChannel() });
  }

  /** A failed call as a readable fault. */
  explain(error: ServiceError | StatusObject): ContractFault {
    if (this.#stopping) return this.#closed();
    const fault = fromStatus(error, { address: this.address, connection: this.#dialler.lastFault });
    this.#log.debug({ err: fault }, 'a call failed');
    return fault;
  }

  /** Ends all calls and the connection. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  #open(): CallModules {
    if (this.#stopping) throw this.#closed();
    return this.#calls;
  }

  #closed(): ContractFault {
    return new ContractFault('contract.cancelled', `the channel to ${this.address} was closed`);
  }

  async #stop(): Promise<void> {
    this.#client.close();
    await this.#dialler.stop();
  }
}

function hostOf(address: string): string {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):\d{1,5}$/.exec(address);
  const host = match?.[1] ?? match?.[2];
  if (host !== undefined) return host;
  throw new ContractFault('contract.bad-setting', `${JSON.stringify(address.slice(0, 100))} is not host:port`, {
    permanent: true,
    advice: 'Write it as host:port, or [IPv6 address]:port.',
  });
}
