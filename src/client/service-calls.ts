// Generated service definitions as objects with one function per method: promises for single answers, async iterables
// for streams. Requests may leave out what they do not care about; an absent field has the contract's default,
// and each change an id of its own, so that it has one effect however often its bytes arrive.
import { Metadata } from '@grpc/grpc-js';
import type { CallOptions as ChannelCallOptions } from '../contract/calls.js';
import type { GrpcChannel } from '../contract/channel.js';
import type { AnyMethod, AnyService, RequestOf, ResponseOf } from '../contract/service.js';
import { defined } from '../kernel/defined.js';
import type { Duration } from '../kernel/duration.js';
import { isRepeatable, persistently, type RetrySettings } from './retries.js';

/** For one call. */
export interface MeshCallOptions {
  /** Cancels the call; the fault is contract.cancelled. */
  readonly signal?: AbortSignal;
  /** Until the answer, or the last message of a stream; the fault is contract.deadline. Milliseconds. */
  readonly within?: number;
}

/** A request in which every field is optional. */
export type Sparse<T> = { readonly [K in keyof T]?: T[K] | undefined };

type CallOf<M extends AnyMethod> = M['responseStream'] extends true
  ? (request?: Sparse<RequestOf<M>>, options?: MeshCallOptions) => AsyncGenerator<ResponseOf<M>, void, void>
  : (request?: Sparse<RequestOf<M>>, options?: MeshCallOptions) => Promise<ResponseOf<M>>;

/** The client of a service. Every function may be passed around: none needs its object. */
export type ServiceCalls<S extends AnyService> = { readonly [K in keyof S]: CallOf<S[K]> };

export interface ServiceCallSettings {
  readonly channel: GrpcChannel;
  /** The bearer token for the next call; undefined: none is sent. */
  readonly token: () => string | undefined;
  /** How long a call with one answer may take, unless it says otherwise. */
  readonly within: Duration;
  /** Cancels every call. */
  readonly signal?: AbortSignal;
  /** An id for a request that changes something. */
  readonly newRequestId: () => string;
  /** For calls with one answer. */
  readonly retries: RetrySettings;
}

export function serviceCalls<S extends AnyService>(service: S, settings: ServiceCallSettings): ServiceCalls<S> {
  const calls = Object.entries<AnyMethod>(service).map(([name, method]) => [name, callOf(method, settings)]);
  return Object.fromEntries(calls) as ServiceCalls<S>;
}

function callOf(method: AnyMethod, settings: ServiceCallSettings): unknown {
  const { channel, newRequestId } = settings;
  if (method.responseStream) {
    return (request?: Sparse<unknown>, options: MeshCallOptions = {}) =>
      channel.serverStream(method, complete(method, request, newRequestId), optionsOf(options, settings, undefined));
  }
  return async (sparse?: Sparse<unknown>, options: MeshCallOptions = {}) => {
    const request = complete(method, sparse, newRequestId);
    const limits = optionsOf(options, settings, settings.within);
    if (!isRepeatable(method.path, request)) return channel.unary(method, request, limits);
    // A token that is renewed is asked for once more.
    const once = (within: Duration) =>
      channel.unary(method, request, { ...optionsOf(options, settings, undefined), within });
    return persistently(once, { within: settings.within, ...limits }, settings.retries);
  };
}

/** The defaults of the contract are what decoding nothing gives; a change that has no id gets one. */
function complete(method: AnyMethod, request: Sparse<unknown> | undefined, newRequestId: () => string): unknown {
  const given = Object.entries(request ?? {}).filter(([, value]) => value !== undefined);
  const defaults = method.requestDeserialize(Buffer.alloc(0)) as object;
  return Object.assign(
    defaults,
    'requestId' in defaults ? { requestId: newRequestId() } : {},
    Object.fromEntries(given),
  );
}

function optionsOf(
  call: MeshCallOptions,
  settings: ServiceCallSettings,
  usual: Duration | undefined,
): ChannelCallOptions {
  const metadata = new Metadata();
  const token = settings.token();
  if (token !== undefined) metadata.set('authorization', `Bearer ${token.trim()}`);
  const within = (call.within as Duration | undefined) ?? usual;
  const signal =
    call.signal && settings.signal ? AbortSignal.any([call.signal, settings.signal]) : (call.signal ?? settings.signal);
  return { metadata, ...defined({ within, signal }) };
}
