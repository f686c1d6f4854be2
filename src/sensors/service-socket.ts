// A connection for a library that speaks a service's protocol: opened, timed, bounded and ended here, so that whatever the
// library does, the server's answer is no larger than a sensor has use for, and no socket outlives its run.
import { connect, Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { ConnectionOptions } from 'node:tls';
import type { Clock } from '../kernel/clock.js';
import { defined } from '../kernel/defined.js';
import { toError } from '../kernel/fault.js';
import { SensorFault } from './fault.js';
import type { Measurement, MetricValue } from './kind.js';
import { verdictOn } from './network-verdict.js';
import { round } from './rounding.js';

/** Of all that a server says in one run. */
const MAX_ANSWER = 1_048_576;

const tooMuch = () => new Error('the server says more than 1 MiB');

/** For libraries that insist on a socket of their own: as option `read` of net.connect(), bounds what it receives. */
export function boundedRead(this: Socket, size: number): void {
  if (this.bytesRead > MAX_ANSWER) this.destroy(tooMuch());
  else Socket.prototype._read.call(this, size);
}

/** Looks to libraries like the socket that it stands for; never handed over to the TLS of the platform unseen. */
export class ServiceSocket extends Duplex {
  #received = 0;

  private constructor(private readonly raw: Socket) {
    super({ allowHalfOpen: false });
    raw.on('data', (chunk: Buffer) => this.#take(chunk));
    raw.on('end', () => this.push(null));
    raw.on('error', (error) => this.destroy(error));
    raw.on('close', () => this.destroy());
    // Whoever is interested listens too; nobody is after the end.
    this.on('error', () => undefined);
  }

  /** Resolves once connected. */
  static async connect(place: { readonly host: string; readonly port: number }, signal: AbortSignal) {
    signal.throwIfAborted();
    const raw = connect({ host: place.host, port: place.port, noDelay: true });
    const abort = () => raw.destroy(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    raw.on('close', () => signal.removeEventListener('abort', abort));
    await new Promise<void>((resolve, reject) => raw.once('connect', resolve).once('error', reject));
    return new ServiceSocket(raw);
  }

  #take(chunk: Buffer): void {
    this.#received += chunk.length;
    if (this.#received > MAX_ANSWER) this.destroy(tooMuch());
    else if (!this.push(chunk)) this.raw.pause();
  }

  /** What a listener throws at what it hears (libraries do, at nonsense) ends the connection, not the hub. */
  override emit(event: string | symbol, ...args: unknown[]): boolean {
    try {
      return super.emit(event as 'data', ...(args as [unknown]));
    } catch (thrown) {
      this.destroy(toError(thrown));
      return true;
    }
  }

  override _read(): void {
    this.raw.resume();
  }

  override _write(chunk: Buffer, encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.raw.write(chunk, encoding, done);
  }

  override _final(done: () => void): void {
    this.raw.end(done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.raw.destroy();
    // What TLS has to say of its end comes first.
    setImmediate(done, error);
  }

  /** It is: this only says so to a library that thinks it does it. */
  connect(): this {
    process.nextTick(() => this.emit('connect'));
    return this;
  }

  // What libraries do to sockets, and what matters to none here.
  readonly setNoDelay = (): this => this;
  readonly setKeepAlive = (): this => this;
  readonly setTimeout = (): this => this;
  readonly ref = (): this => this;
  readonly unref = (): this => this;
}

/**
 * Connects, lets somebody talk, and leaves nothing behind. What goes wrong on the way is a verdict on the service; a
 * SensorFault stays one.
 */
export async function visit(
  place: { readonly host: string; readonly port: number },
  clock: Clock,
  signal: AbortSignal,
  talk: (socket: ServiceSocket, since: (name: string) => MetricValue) => Promise<Measurement>,
): Promise<Measurement> {
  const started = clock.monotonic();
  const since = (name: string) => ({ name, unit: 'ms', value: round(clock.monotonic() - started, 1) });
  let socket: ServiceSocket | undefined;
  try {
    socket = await ServiceSocket.connect(place, signal);
    return await untilAborted(Promise.race([talk(socket, since), closed(socket)]), signal);
  } catch (thrown) {
    if (thrown instanceof SensorFault && !signal.aborted) throw thrown;
    return verdictOn(thrown, signal);
  } finally {
    socket?.destroy();
  }
}

/** Rejects some turns after the end: not every library notices that, but those that do have better words. */
async function closed(socket: ServiceSocket): Promise<never> {
  if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve));
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
  throw socket.errored ?? Object.assign(new Error('closed'), { code: 'ECONNRESET' });
}

/** Some libraries wait for ever for an answer on a socket that is gone. */
export async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let onAbort = () => undefined as unknown;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
    work.catch(() => undefined);
  }
}

/** Settings of kinds that can do with TLS. */
export interface TlsSettings {
  readonly host: string;
  readonly verifyTls: boolean;
  readonly ca?: string | undefined;
  readonly serverName?: string | undefined;
}

/** Whom the server has to be. */
export const tlsName = ({ host, serverName }: TlsSettings): string => serverName ?? host;

/** For libraries that take options of tls.connect(). */
export function tlsOptions(settings: TlsSettings): ConnectionOptions {
  return { rejectUnauthorized: settings.verifyTls, ...defined({ ca: settings.ca }) };
}
