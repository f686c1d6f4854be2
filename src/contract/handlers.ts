// Services are written as async functions; here they become grpc-js handlers. Errors turn into statuses, a caller who
// goes away into an aborted signal, and what is streamed waits for the reader.
import type {
  handleBidiStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
  Metadata,
  StatusObject,
} from '@grpc/grpc-js';
import type { Clock } from '../kernel/clock.js';
import { type EpochMs, epochMs, seconds } from '../kernel/duration.js';
import { type Admission, admissionOf } from './access.js';
import { type ByteStream, DuplexByteStream, HIGH_MARK } from './byte-stream.js';
import type { Principal } from './callers.js';
import { ContractFault } from './fault.js';
import type { AnyMethod, RequestOf, ResponseOf } from './service.js';
import type { StatusTranslator } from './status.js';

/** A caller who does not read is told the status of its call for this long; then its stream is reset. */
const LAST_WORDS = seconds(5);

export interface CallContext {
  readonly principal: Principal;
  /** Aborted when the caller cancels, goes away or its deadline passes. Handlers must end soon after. */
  readonly signal: AbortSignal;
  /** Wall time at which the caller stops waiting, where it said so. */
  readonly deadline: EpochMs | undefined;
  /** Address and port of the connection. */
  readonly peer: string;
  readonly metadata: Metadata;
}

export type UnaryFunction<Q, R> = (request: Q, context: CallContext) => Promise<R>;
export type ServerStreamFunction<Q, R> = (request: Q, context: CallContext) => AsyncIterable<R>;
/** Streams both ways pass bytes; what they mean is the handler's business. The call ends when the promise settles. */
export type ByteStreamFunction = (stream: ByteStream, context: CallContext) => Promise<void>;

type FunctionOf<M extends AnyMethod> = M['requestStream'] extends true
  ? M['responseStream'] extends true
    ? ByteStreamFunction
    : never
  : M['responseStream'] extends true
    ? ServerStreamFunction<RequestOf<M>, ResponseOf<M>>
    : UnaryFunction<RequestOf<M>, ResponseOf<M>>;

/** What implements a service: one function per method, all of them. */
export type Implementation<S> = {
  readonly [K in keyof S]: S[K] extends AnyMethod ? FunctionOf<S[K]> : never;
};

export interface HandlerModules {
  readonly clock: Clock;
  readonly translator: StatusTranslator;
}

/** Rejects with the signal's reason as soon as it is aborted; whoever races with it need not care for it otherwise. */
export function aborted(signal: AbortSignal): Promise<never> {
  const end = new Promise<never>((_, reject) => {
    const give = () => reject(signal.reason);
    if (signal.aborted) give();
    else signal.addEventListener('abort', give, { once: true });
  });
  end.catch(() => undefined);
  return end;
}

interface AnyCall {
  readonly metadata: Metadata;
  getDeadline(): Date | number;
  on(event: 'cancelled', listener: () => void): unknown;
}

/** A context, and `settle()` to call when the call has got its answer: grpc-js says "cancelled" then, too. */
function contextOf(call: AnyCall): { context: CallContext; admission: Admission; settle: () => void } {
  const admission = admissionOf(call);
  const abort = new AbortController();
  let settled = false;
  call.on('cancelled', () => {
    if (!settled) abort.abort(new ContractFault('contract.cancelled', 'the caller is gone'));
  });
  const deadline = Number(call.getDeadline());
  const context: CallContext = {
    principal: admission.principal,
    signal: abort.signal,
    deadline: Number.isFinite(deadline) ? epochMs(deadline) : undefined,
    peer: admission.peer,
    metadata: call.metadata,
  };
  const settle = () => {
    settled = true;
  };
  return { context, admission, settle };
}

export function unaryHandler<Q, R>(run: UnaryFunction<Q, R>, modules: HandlerModules): handleUnaryCall<Q, R> {
  return (call, callback) => {
    const answer = async () => {
      const { context, settle } = contextOf(call);
      const response = await run(call.request, context);
      settle();
      return response;
    };
    answer().then(
      (response) => callback(null, response),
      (thrown) => callback(modules.translator.toStatus(thrown)),
    );
  };
}

/** The handler is given already serialised answers, because only then their bytes can be counted. */
export function serverStreamHandler<Q, R>(
  run: ServerStreamFunction<Q, R>,
  serialize: (response: R) => Buffer,
  modules: HandlerModules,
): handleServerStreamingCall<Q, Buffer> {
  return (call) => {
    let waiting = 0;
    let onRoom: () => void = () => {};
    const write = (message: Buffer) => {
      waiting += message.byteLength;
      call.write(message, () => {
        waiting -= message.byteLength;
        if (waiting < HIGH_MARK) onRoom();
      });
    };
    const answer = async () => {
      const { context, admission, settle } = contextOf(call);
      const { signal } = context;
      signal.addEventListener('abort', () => onRoom(), { once: true });
      try {
        for await (const response of run(call.request, context)) {
          if (signal.aborted) return;
          write(serialize(response));
          if (waiting >= HIGH_MARK) {
            await new Promise<void>((resolve) => {
              onRoom = resolve;
            });
          }
          if (signal.aborted) return;
        }
        settle();
        call.end();
      } catch (thrown) {
        if (signal.aborted) return;
        endWith(call, modules.translator.toStatus(thrown), admission, modules.clock);
      }
    };
    answer().catch((thrown) => call.emit('error', modules.translator.toStatus(thrown)));
  };
}

export function byteStreamHandler(
  run: ByteStreamFunction,
  modules: HandlerModules,
): handleBidiStreamingCall<Buffer, Uint8Array> {
  return (call) => {
    const answer = async () => {
      const { context, admission, settle } = contextOf(call);
      let told = false;
      const tell = (why: unknown) => {
        if (told || context.signal.aborted) return;
        told = true;
        settle();
        endWith(call, modules.translator.toStatus(why), admission, modules.clock);
      };
      const stream = new DuplexByteStream(call, {
        peer: () => admission.peer,
        abort: tell,
        wasReset: () => admission.stream.wasReset(),
      });
      let failure: ContractFault | undefined;
      call.on('cancelled', () => stream.finish(context.signal.aborted ? context.signal.reason : failure));
      try {
        await run(stream, context);
        settle();
        stream.end();
      } catch (thrown) {
        if (thrown instanceof ContractFault) failure = thrown;
        tell(thrown);
      }
    };
    answer().catch((thrown) => call.emit('error', modules.translator.toStatus(thrown)));
  };
}

/** grpc-js takes the status of a stream as an "error", queued behind what has been written. */
function endWith(
  call: { emit(event: 'error', status: StatusObject): boolean; once(event: 'cancelled', then: () => void): unknown },
  status: StatusObject,
  admission: Admission,
  clock: Clock,
): void {
  const impatience = clock.after(LAST_WORDS, () => admission.stream.reset());
  call.once('cancelled', () => impatience.disarm());
  call.emit('error', status);
}
