// The only file that reaches inside grpc-js, for two things its server does not offer:
//   - receive windows. They are fixed at 64 KiB per connection (328 kB/s at 100 ms round trip); the option
//     `grpc-node.flow_control_window` is read by clients only (grpc/grpc-node#3058).
//   - the HTTP/2 stream of a call. A status waits behind everything written before it, so a caller who does not read
//     can be got rid of only by a reset; and what has come of a message that is not whole yet, and whether messages are
//     compressed, is not to be seen elsewhere.
// Both need the HTTP/2 server that the connection injector makes. Where it cannot be found the start fails, rather
// than a trunk that is slow for no visible reason; test/contract/windows.test.ts measures the settings.
import type { Http2Server, ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import { constants } from 'node:http2';
import { type ConnectionInjector, type Server, ServerCredentials } from '@grpc/grpc-js';
import { ContractFault } from './fault.js';

export interface Windows {
  /** Bytes one stream may send before we have read them. 64 KiB to 2 GiB. */
  readonly stream: number;
  /** The same for all streams of a connection together. */
  readonly connection: number;
}

export interface SessionSettings {
  readonly windows: Windows;
  /** Bytes of metadata that a call may have, by the count of RFC 9113 section 6.5.2. */
  readonly metadataBytes: number;
}

/** The HTTP/2 stream under a call. */
export interface StreamControl {
  /** Ends it at once, whatever waits in it. */
  reset(): void;
  /** Whether one side reset it. To the reader of a call that looks like a proper end at first. */
  wasReset(): boolean;
  /** The trailer or header of this name that was sent with the status. */
  sent(name: string): string | undefined;
  /** How the caller says that messages are compressed; undefined: not at all. */
  readonly encoding: string | undefined;
  /** Shows every piece of data that comes. Does not itself make it flow. */
  onPiece(listener: (piece: Buffer) => void): void;
}

export interface Injector {
  readonly connections: ConnectionInjector;
  /** Inside an interceptor: the stream of the call that has just begun. */
  readonly streamOfNewCall: () => StreamControl;
}

/** `onSession` sees each HTTP/2 session as it begins. Faults: contract.library-changed. */
export function createInjector(
  server: Server,
  settings: SessionSettings,
  onSession: (session: ServerHttp2Session) => void,
): Injector {
  const connections = server.createConnectionInjector(ServerCredentials.createInsecure());
  const http2Server = http2ServerOf(server);
  http2Server.on('session', (session) => {
    session.settings({ initialWindowSize: settings.windows.stream, maxHeaderListSize: settings.metadataBytes });
    session.setLocalWindowSize(settings.windows.connection);
    onSession(session);
  });
  // In front of the listener of grpc-js, which runs the interceptors within the same event.
  let newest: { readonly stream: ServerHttp2Stream; readonly encoding: string | undefined } | undefined;
  http2Server.prependListener('stream', (stream, headers) => {
    newest = { stream, encoding: headers['grpc-encoding']?.toString() };
  });
  const streamOfNewCall = () => {
    if (!newest) throw changed('a call without a stream');
    const { stream, encoding } = newest;
    newest = undefined;
    return {
      encoding,
      reset: () => {
        if (!stream.destroyed) stream.close(constants.NGHTTP2_CANCEL);
      },
      wasReset: () => stream.closed && stream.rstCode !== constants.NGHTTP2_NO_ERROR,
      // Without trailers the status went with the headers.
      onPiece: (listener: (piece: Buffer) => void) => void stream.on('data', listener),
      sent: (name: string) => (stream.sentTrailers ?? stream.sentHeaders)?.[name]?.toString(),
    };
  };
  return { connections, streamOfNewCall };
}

function http2ServerOf(server: Server): Http2Server {
  const servers: unknown = Reflect.get(server, 'http2Servers');
  const found: unknown = servers instanceof Map ? [...servers.keys()].at(-1) : undefined;
  if (!isHttp2Server(found)) throw changed('no map of HTTP/2 servers');
  return found;
}

function isHttp2Server(value: unknown): value is Http2Server {
  return value !== null && typeof value === 'object' && 'updateSettings' in value && 'prependListener' in value;
}

function changed(what: string): ContractFault {
  return new ContractFault('contract.library-changed', `grpc-js has changed: ${what}`, {
    permanent: true,
    advice: 'Install the version of @grpc/grpc-js that package-lock.json names.',
  });
}
