// Who may call what: the one interceptor through which every call of a server passes. Deny by default. It stands in
// front of the handlers and not inside them, because a refused caller's request is then neither read nor parsed; of
// messages it sees only that they come. Who is calling, and what they may, is decided in callers.ts.
import {
  type Metadata,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
  status as Status,
} from '@grpc/grpc-js';
import { Caller } from '../../gen/occmesh/access/v1/access.js';
import type { Clock } from '../kernel/clock.js';
import { defined } from '../kernel/defined.js';
import { describe } from '../kernel/fault.js';
import { Arrival } from './arrival.js';
import { ANONYMOUS, bearerIn, type CallerRules, type Enter, type Principal, permitted } from './callers.js';
import { DETAILS_KEY } from './error-details.js';
import { ContractFault } from './fault.js';
import type { ListenerLimits } from './limits.js';
import type { StatusTranslator } from './status.js';
import type { StreamControl } from './windows.js';

/** What the interceptor found out, for the handler of the same call. */
export interface Admission {
  readonly principal: Principal;
  readonly peer: string;
  readonly stream: StreamControl;
}

// grpc-js hands the same Metadata object from the interceptor to the handler; nothing else is common to both.
const admitted = new WeakMap<Metadata, Admission>();

/** The admission of a call; a fault for a call that did not come through the interceptor. */
export function admissionOf(call: { readonly metadata: Metadata }): Admission {
  const admission = admitted.get(call.metadata);
  if (!admission) throw new ContractFault('contract.no-rule', 'this call was not admitted', { permanent: true });
  return admission;
}

export interface AccessOptions extends CallerRules {
  /** Paths of methods whose requests are wiped when the call is over. Default: none. */
  readonly secrets?: ReadonlySet<string>;
  /**
   * Called when it is known who calls, before it is looked at what they may: whoever asks for what is not for them pays for
   * that, too. Resolves when the call may begin, rejects when it is one too many. What it resolves with is called once, at the
   * end.
   */
  readonly enter?: (principal: Principal) => Promise<() => void>;
}

/** Of messages: see limits.ts. */
export type MessageLimits = Pick<ListenerLimits, 'messageBytes' | 'strangerMessageBytes' | 'request'>;

export interface AccessModules {
  readonly clock: Clock;
  readonly translator: StatusTranslator;
  /** Told of every call that is not let in, or is ended by a limit. */
  readonly onRefused: (details: { readonly peer: string; readonly path: string; readonly cause: string }) => void;
  /** Taken at the beginning of each call: the HTTP/2 stream under it. */
  readonly streamOfNewCall: () => StreamControl;
}

export function accessInterceptor(
  options: AccessOptions & { readonly limits: MessageLimits },
  modules: AccessModules,
): ServerInterceptor {
  return (method, next) => {
    const { path } = method;
    const stream = modules.streamOfNewCall();
    const refuse = (cause: string, thrown: unknown) => {
      end();
      modules.onRefused({ peer: next.getPeer(), path, cause });
      next.sendStatus(modules.translator.toStatus(thrown));
    };
    const isOpen = options.rules.get(path)?.includes(Caller.ANYONE) ?? false;
    const { messageBytes, strangerMessageBytes, request } = options.limits;
    const arrival = new Arrival(
      {
        messageBytes: isOpen ? strangerMessageBytes : messageBytes,
        within: isOpen || !method.requestStream ? request : undefined,
      },
      modules.clock,
      (what) => {
        refuse(what, new ContractFault('contract.exhausted', what));
        // Whoever goes on sending is not listened to any more, and what has come is let go.
        stream.reset();
      },
    );
    const pieces: Buffer[] = [];
    const isSecret = options.secrets?.has(path) ?? false;
    stream.onPiece((piece) => {
      if (isSecret) pieces.push(piece);
      arrival.piece(piece.length);
    });
    let ended = false;
    let leave: () => void = () => undefined;
    const end = () => {
      for (const piece of pieces.splice(0)) piece.fill(0);
      ended = true;
      leave();
      leave = () => undefined;
    };
    return new ServerInterceptingCall(next, {
      sendStatus: (status, pass) => {
        end();
        pass(status);
      },
      start: (begin) =>
        begin({
          onReceiveMetadata: (metadata, pass) => {
            const enter = async (principal: Principal) => {
              // Whoever has gone meanwhile takes up no room.
              if (ended || !options.enter) return;
              const left = await options.enter(principal);
              if (ended) left();
              else leave = left;
            };
            admit(options, path, metadata, next, stream.encoding, enter).then(
              (principal) => {
                admitted.set(metadata, { principal, peer: next.getPeer(), stream });
                pass(metadata);
              },
              (thrown) => {
                arrival.end();
                refuse(describe(thrown), thrown);
              },
            );
          },
          onReceiveMessage: (message, pass) => {
            arrival.whole();
            if (!method.requestStream) arrival.end();
            pass(message);
          },
          onReceiveHalfClose: (pass) => {
            arrival.end();
            pass();
          },
          onCancel: () => {
            arrival.end();
            end();
            const cause = endedByLibrary(stream);
            if (cause !== undefined) modules.onRefused({ peer: next.getPeer(), path, cause });
          },
        }),
    });
  };
}

const LIBRARYS_OWN: readonly (string | undefined)[] = [Status.RESOURCE_EXHAUSTED, Status.INTERNAL].map(String);

/** What grpc-js told the caller by itself, without asking us: a message over the limit, or one that it cannot read. */
function endedByLibrary(stream: StreamControl): string | undefined {
  const ours = stream.sent(DETAILS_KEY) !== undefined;
  if (ours || !LIBRARYS_OWN.includes(stream.sent('grpc-status'))) return undefined;
  return decodeURI(stream.sent('grpc-message') ?? '');
}

async function admit(
  options: AccessOptions,
  path: string,
  metadata: Metadata,
  call: ServerInterceptingCallInterface,
  encoding: string | undefined,
  enter: Enter,
): Promise<Principal> {
  // 2 KiB of it may be 2 MiB, before anything of it can be looked at. Nobody here compresses whole messages.
  if (encoding !== undefined && encoding !== 'identity') {
    throw new ContractFault('contract.unimplemented', `messages are not compressed here (${encoding.slice(0, 32)})`, {
      permanent: true,
    });
  }
  const allowed = options.rules.get(path) ?? [];
  if (allowed.length === 0) {
    throw new ContractFault('contract.no-rule', `nobody may call ${path}`, { permanent: true });
  }
  // No look at credentials here: enrolment and renewal must work with a certificate that is expired or refused elsewhere.
  if (allowed.includes(Caller.ANYONE)) return ANONYMOUS;
  const certificate = certificateOf(call);
  const bearer = bearerIn(metadata.get('authorization'));
  return permitted(options, { path, peer: call.getPeer(), ...defined({ certificate, bearer }) }, enter);
}

/** The certificate that TLS verified up to the CA, DER; undefined for none, and for one that did not verify. */
function certificateOf(call: ServerInterceptingCallInterface): Buffer | undefined {
  return call.getAuthContext().sslPeerCertificate?.raw;
}
