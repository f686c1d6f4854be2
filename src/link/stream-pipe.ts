// A gRPC stream as a pipe, at either end, and how the reason of an end travels in a gRPC status.
import { CloseCode } from '../../gen/occmesh/trunk/v1/trunk.js';
import type { ByteStream } from '../contract/byte-stream.js';
import { type ContractCode, ContractFault } from '../contract/fault.js';
import { milliseconds } from '../kernel/duration.js';
import { type Ending, ending, type Pipe, type PipeHandlers } from './pipe.js';

const FAULTS: { readonly [C in Exclude<CloseCode, CloseCode.UNRECOGNIZED>]: ContractCode } = {
  [CloseCode.UNSPECIFIED]: 'contract.internal',
  [CloseCode.DONE]: 'contract.aborted',
  [CloseCode.REFUSED]: 'contract.denied',
  [CloseCode.UNAUTHENTIC]: 'contract.unauthenticated',
  [CloseCode.PROTOCOL]: 'contract.precondition',
  [CloseCode.SLOW]: 'contract.exhausted',
  [CloseCode.SUPERSEDED]: 'contract.aborted',
  [CloseCode.NO_CLOUD]: 'contract.unavailable',
  [CloseCode.EXHAUSTED]: 'contract.exhausted',
  [CloseCode.GOING_AWAY]: 'contract.unavailable',
  [CloseCode.VERSION]: 'contract.precondition',
  // Not contract.internal, whose text, reason and wait are withheld: the text of an ending is made to be told.
  [CloseCode.INTERNAL]: 'contract.unavailable',
};

/** An ending as the fault that becomes a status; its reason is the name of the close code. */
export function faultOfEnding(why: Ending): ContractFault {
  const code = FAULTS[why.code as Exclude<CloseCode, CloseCode.UNRECOGNIZED>] ?? 'contract.internal';
  return new ContractFault(code, why.message, {
    reason: CloseCode[why.code],
    ...(why.retryAfterMs > 0 ? { retryAfter: milliseconds(why.retryAfterMs) } : {}),
  });
}

/** What a stream's end means for the session on it. */
export function endingOfFault(fault: ContractFault | undefined): Ending {
  if (!fault) return ending(CloseCode.DONE, 'the other side has ended the stream');
  const named = fault.reason === undefined ? undefined : CloseCode[fault.reason as keyof typeof CloseCode];
  return ending(named ?? CloseCode.GOING_AWAY, fault.message, fault.retryAfter ?? 0);
}

export class StreamPipe implements Pipe {
  #handlers: PipeHandlers | undefined;
  #closed = false;

  constructor(private readonly stream: ByteStream) {}

  listen(handlers: PipeHandlers): void {
    this.#handlers = handlers;
    // How it ended comes by `closed`, once, whichever side began.
    this.stream
      .forEach((message) => {
        handlers.message(message);
      })
      .catch(() => undefined);
    void this.stream.closed.then((fault) => this.#finish(endingOfFault(fault)));
  }

  send(envelope: Uint8Array): void {
    if (!this.#closed) this.stream.write(envelope);
  }

  get queuedBytes(): number {
    return this.stream.bufferedBytes;
  }

  drained(): Promise<void> {
    return this.stream.drained();
  }

  close(why: Ending): void {
    if (this.#closed) return;
    if (why.code === CloseCode.DONE) this.stream.end();
    else this.stream.close(faultOfEnding(why));
    this.#finish(why);
  }

  #finish(why: Ending): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#handlers?.closed(why);
  }
}
