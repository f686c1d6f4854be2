// Calls as promises, iterables and byte streams, over any channel. Failures come as ContractFault. Nothing is retried
// here: whoever calls knows what may be repeated.
import { type Client, Metadata, type ServiceError, status as Status, type StatusObject } from '@grpc/grpc-js';
import type { Clock } from '../kernel/clock.js';
import { type Duration, formatDuration } from '../kernel/duration.js';
import { type ByteStream, DuplexByteStream } from './byte-stream.js';
import { ContractFault } from './fault.js';
import { type AnyMethod, type RequestOf, type ResponseOf, rawMethod } from './service.js';

export interface CallOptions {
  readonly metadata?: Metadata;
  /** Cancels the call; the fault is contract.cancelled. */
  readonly signal?: AbortSignal;
  /** From now to the last message, by the injected clock; the fault is contract.deadline. */
  readonly within?: Duration;
}

export interface CallModules {
  readonly client: Client;
  readonly clock: Clock;
  readonly toFault: (error: ServiceError | StatusObject) => ContractFault;
}

/** One request, one answer. */
export function unary<M extends AnyMethod>(
  method: M,
  request: RequestOf<M>,
  options: CallOptions,
  modules: CallModules,
): Promise<ResponseOf<M>> {
  return new Promise((resolve, reject) => {
    let gaveUp: ContractFault | undefined;
    const call = modules.client.makeUnaryRequest<RequestOf<M>, ResponseOf<M>>(
      method.path,
      method.requestSerialize as (value: RequestOf<M>) => Buffer,
      method.responseDeserialize as (value: Buffer) => ResponseOf<M>,
      request,
      options.metadata ?? new Metadata(),
      (error, response) => {
        release();
        if (error) reject(gaveUp ?? modules.toFault(error));
        else resolve(response as ResponseOf<M>);
      },
    );
    const release = limit(options, modules.clock, (fault) => {
      gaveUp = fault;
      call.cancel();
    });
  });
}

/** One request, many answers. Leaving the loop cancels the call. */
export async function* serverStream<M extends AnyMethod>(
  method: M,
  request: RequestOf<M>,
  options: CallOptions,
  modules: CallModules,
): AsyncGenerator<ResponseOf<M>, void, void> {
  let gaveUp: ContractFault | undefined;
  const call = modules.client.makeServerStreamRequest<RequestOf<M>, ResponseOf<M>>(
    method.path,
    method.requestSerialize as (value: RequestOf<M>) => Buffer,
    method.responseDeserialize as (value: Buffer) => ResponseOf<M>,
    request,
    options.metadata ?? new Metadata(),
  );
  // The iterator below stops listening when it is left; an error that comes later must still find somebody.
  call.on('error', () => {});
  const release = limit(options, modules.clock, (fault) => {
    gaveUp = fault;
    call.cancel();
  });
  try {
    for await (const response of call) yield response as ResponseOf<M>;
  } catch (thrown) {
    throw gaveUp ?? (isServiceError(thrown) ? modules.toFault(thrown) : thrown);
  } finally {
    release();
    call.cancel();
  }
}

/** Many messages both ways, as bytes. `within` limits the whole stream. */
export function byteStream(method: AnyMethod, options: CallOptions, modules: CallModules): ByteStream {
  const raw = rawMethod(method);
  const call = modules.client.makeBidiStreamRequest<Uint8Array, Buffer>(
    method.path,
    raw.requestSerialize,
    raw.responseDeserialize,
    options.metadata ?? new Metadata(),
  );
  let gaveUp: ContractFault | undefined;
  const stream = new DuplexByteStream(call, {
    peer: () => call.getPeer(),
    wasReset: () => false,
    abort: (why) => {
      gaveUp ??=
        why instanceof ContractFault ? why : new ContractFault('contract.cancelled', why.message, { cause: why });
      call.cancel();
    },
  });
  const release = limit(options, modules.clock, (fault) => stream.close(fault));
  // An error is always followed by its status; unheard, it would end the process.
  call.on('error', () => {});
  call.on('status', (status) => {
    release();
    stream.finish(status.code === Status.OK ? undefined : (gaveUp ?? modules.toFault(status)));
  });
  return stream;
}

function isServiceError(thrown: unknown): thrown is ServiceError {
  return thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'number' && 'details' in thrown;
}

/** Calls `giveUp` at the first of signal and time limit; the returned function takes both away. */
function limit({ signal, within }: CallOptions, clock: Clock, giveUp: (fault: ContractFault) => void): () => void {
  const onAbort = () => {
    release();
    giveUp(new ContractFault('contract.cancelled', 'given up', { cause: signal?.reason }));
  };
  const timer =
    within === undefined
      ? undefined
      : clock.after(within, () => {
          release();
          giveUp(new ContractFault('contract.deadline', `no answer within ${formatDuration(within)}`));
        });
  const release = () => {
    timer?.disarm();
    signal?.removeEventListener('abort', onAbort);
  };
  if (signal?.aborted) onAbort();
  else signal?.addEventListener('abort', onAbort, { once: true });
  return release;
}
