// A network that lets a request through and keeps the answer: on its first connection that carries one. It sees TLS
// records and their lengths, as any network does, and knows a request by them.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

const APPLICATION_DATA = 23;
/** Longer than what HTTP/2 says of itself, shorter than a sealed request. */
const REQUEST_BYTES = 400;
const HEADER = 5;

export class AnswerThief {
  /** Answers taken. */
  stolen = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(private readonly target: number) {
    this.#server = createServer((near) => this.#connected(near));
  }

  static async start(target: number): Promise<AnswerThief> {
    const thief = new AnswerThief(target);
    thief.#server.listen(0, '127.0.0.1');
    await once(thief.#server, 'listening');
    return thief;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #connected(near: Socket): void {
    const far = connect(this.target, '127.0.0.1');
    let asked = false;
    let rest = Buffer.alloc(0);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(from);
      from.on('error', () => to.destroy());
      from.on('close', () => {
        this.#sockets.delete(from);
        to.destroy();
      });
    }
    near.on('data', (bytes) => {
      rest = Buffer.concat([rest, bytes]);
      while (rest.length >= HEADER && rest.length >= HEADER + rest.readUInt16BE(3)) {
        const length = rest.readUInt16BE(3);
        asked ||= rest[0] === APPLICATION_DATA && length >= REQUEST_BYTES;
        rest = rest.subarray(HEADER + length);
      }
      far.write(bytes);
    });
    far.on('data', (bytes) => {
      if (this.stolen > 0 || !asked || bytes.length < REQUEST_BYTES) return void near.write(bytes);
      this.stolen += 1;
      near.destroy();
    });
  }
}
