// How long calls take and how they end, for whoever wants to know. It stands before the access rules, so that refusals
// are seen, too.
import { ServerInterceptingCall, type ServerInterceptor, status as Status } from '@grpc/grpc-js';
import type { Clock } from '../kernel/clock.js';
import type { Duration } from '../kernel/duration.js';
import { milliseconds } from '../kernel/duration.js';

export interface FinishedCall {
  /** `/package.Service/Method`; always one that is served. */
  readonly path: string;
  /** As gRPC spells it: `OK`, `NOT_FOUND`, … */
  readonly code: string;
  readonly took: Duration;
}

export function timingInterceptor(onCall: (call: FinishedCall) => void, clock: Clock): ServerInterceptor {
  return (method, call) => {
    const began = clock.monotonic();
    let told = false;
    const tell = (code: Status) => {
      if (told) return;
      told = true;
      onCall({ path: method.path, code: Status[code] ?? 'UNKNOWN', took: milliseconds(clock.monotonic() - began) });
    };
    return new ServerInterceptingCall(call, {
      start: (begin) => begin({ onCancel: () => tell(Status.CANCELLED) }),
      sendStatus: (status, pass) => {
        tell(status.code ?? Status.UNKNOWN);
        pass(status);
      },
    });
  };
}
