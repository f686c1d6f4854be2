// The internet between a customer's network and the cloud, as a TCP relay that can be cut, can be far and can be narrow.
// It sees TLS and nothing else.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import type { Clock } from '../kernel/clock.js';
import { type Duration, milliseconds } from '../kernel/duration.js';
import type { Stoppable } from '../kernel/scope.js';

export interface InternetOptions {
  /** Of 127.0.0.1; default: any that is free. */
  readonly port?: number;
  /** One way; the round trip is twice that. */
  readonly delay?: Duration;
  /** Each way, for each connection; default: as many as there are. */
  readonly bytesPerSecond?: number;
}

export class Internet implements Stoppable {
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;
  #cut = false;
  #tried = 0;
  readonly #carried = { up: 0, down: 0 };

  private constructor(
    private readonly target: () => number,
    private readonly options: InternetOptions,
    private readonly clock: Clock,
  ) {
    this.#server = createServer((socket) => this.#connected(socket));
  }

  /** Listens on a free port of 127.0.0.1; connects to `target` there. */
  static async start(target: () => number, options: InternetOptions, clock: Clock): Promise<Internet> {
    const internet = new Internet(target, options, clock);
    internet.#server.listen(options.port ?? 0, '127.0.0.1');
    await once(internet.#server, 'listening');
    return internet;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Connections that stand. */
  get connections(): number {
    return this.#sockets.size / 2;
  }

  /** How often somebody has tried to connect, also while it was cut. */
  get tried(): number {
    return this.#tried;
  }

  /** Bytes that have passed to the target and back: what TCP carries, so with everything that TLS adds. */
  get carried(): { readonly up: number; readonly down: number } {
    return { ...this.#carried };
  }

  /** Nothing passes, what stood is gone. */
  cut(): void {
    this.#cut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  mend(): void {
    this.#cut = false;
  }

  async stop(): Promise<void> {
    this.cut();
    if (!this.#server.listening) return;
    this.#server.close();
    await once(this.#server, 'close');
  }

  #connected(near: Socket): void {
    this.#tried += 1;
    if (this.#cut) {
      near.destroy();
      return;
    }
    const far = connect(this.target(), '127.0.0.1');
    this.#pass(near, far, 'up');
    this.#pass(far, near, 'down');
  }

  #pass(from: Socket, to: Socket, direction: 'up' | 'down'): void {
    this.#sockets.add(from);
    const { delay = milliseconds(0), bytesPerSecond = Number.POSITIVE_INFINITY } = this.options;
    const later = (action: () => void) => (delay > 0 ? void this.clock.after(delay, action) : action());
    from.setNoDelay(true);
    from.on('data', (bytes) => {
      this.#carried[direction] += bytes.length;
      if (bytesPerSecond < Number.POSITIVE_INFINITY) {
        from.pause();
        this.clock.after(milliseconds((bytes.length / bytesPerSecond) * 1_000), () => from.resume());
      }
      // Bounded: the sender is held while the receiver does not take what has arrived.
      later(() => {
        if (!to.destroyed && !to.write(bytes)) from.pause();
      });
    });
    to.on('drain', () => from.resume());
    from.on('end', () => later(() => to.end()));
    from.on('error', () => to.destroy());
    from.on('close', () => {
      this.#sockets.delete(from);
      later(() => to.destroy());
    });
  }
}
