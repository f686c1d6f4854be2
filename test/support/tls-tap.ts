// A TCP relay that keeps what passes, and with the key log of one of the ends (node --tls-keylog) reads what TLS 1.3 hid
// (RFC 8446; the log's format: draft-ietf-tls-keylogfile).
import { createDecipheriv, createHmac } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

interface Kept {
  readonly up: Buffer[];
  readonly down: Buffer[];
}

/** What one connection said in each direction, in the clear. */
export interface Overheard {
  readonly up: Buffer;
  readonly down: Buffer;
}

export class TlsTap implements AsyncDisposable {
  readonly #connections: Kept[] = [];
  readonly #sockets = new Set<Socket>();

  private constructor(
    private readonly server: Server,
    private readonly target: number,
  ) {
    server.on('connection', (near) => this.#relay(near));
  }

  /** In front of a port of 127.0.0.1. */
  static async start(target: number): Promise<TlsTap> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new TlsTap(server, target);
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** Every connection whose handshake was completed. Throws when one cannot be read: then nothing is proved. */
  overheard(keyLog: string): Overheard[] {
    return this.#connections.flatMap(({ up, down }) => read(Buffer.concat(up), Buffer.concat(down), keyLog) ?? []);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.server.close();
    await once(this.server, 'close');
  }

  #relay(near: Socket): void {
    const kept: Kept = { up: [], down: [] };
    this.#connections.push(kept);
    const far = connect(this.target, '127.0.0.1');
    const pass = (from: Socket, to: Socket, into: Buffer[]) => {
      this.#sockets.add(from);
      from.on('data', (bytes: Buffer) => {
        into.push(Buffer.from(bytes));
        to.write(bytes);
      });
      from.on('end', () => to.end());
      from.on('error', () => to.destroy());
      from.on('close', () => {
        this.#sockets.delete(from);
        to.destroy();
      });
    };
    pass(near, far, kept.up);
    pass(far, near, kept.down);
  }
}

const [HANDSHAKE, APPLICATION_DATA] = [22, 23];
const SUITES: { readonly [suite: number]: { cipher: 'aes-128-gcm' | 'aes-256-gcm'; key: number; hash: string } } = {
  4865: { cipher: 'aes-128-gcm', key: 16, hash: 'sha256' },
  4866: { cipher: 'aes-256-gcm', key: 32, hash: 'sha384' },
};

interface TlsRecord {
  readonly header: Buffer;
  readonly body: Buffer;
}

function* recordsOf(bytes: Buffer): Iterable<TlsRecord> {
  for (let at = 0; at + 5 <= bytes.length; ) {
    const end = at + 5 + bytes.readUInt16BE(at + 3);
    // The last one may have been cut.
    if (end > bytes.length) return;
    yield { header: bytes.subarray(at, at + 5), body: bytes.subarray(at + 5, end) };
    at = end;
  }
}

function read(up: Buffer, down: Buffer, keyLog: string): Overheard | undefined {
  const [hello] = recordsOf(up);
  const [answer] = recordsOf(down);
  if (hello?.header[0] !== HANDSHAKE || answer?.header[0] !== HANDSHAKE) return undefined;
  // Handshake header (4), version (2), random (32).
  const random = hello.body.subarray(6, 38).toString('hex');
  const suite = SUITES[answer.body.readUInt16BE(39 + (answer.body[38] ?? 0))];
  const secret = (label: string) => {
    const found = new RegExp(`^${label} ${random} ([0-9a-f]+)$`, 'm').exec(keyLog)?.[1];
    return found === undefined ? undefined : Buffer.from(found, 'hex');
  };
  const secrets = ['CLIENT_HANDSHAKE_TRAFFIC_SECRET', 'CLIENT_TRAFFIC_SECRET_0'].map(secret);
  const others = ['SERVER_HANDSHAKE_TRAFFIC_SECRET', 'SERVER_TRAFFIC_SECRET_0'].map(secret);
  // A handshake that was not completed has no secrets.
  if (!suite || [...secrets, ...others].includes(undefined)) return undefined;
  const half = (bytes: Buffer, keys: (Buffer | undefined)[]) => decrypt(bytes, keys as Buffer[], suite);
  return { up: half(up, secrets), down: half(down, others) };
}

type Suite = NonNullable<(typeof SUITES)[number]>;

/** First under the key of the handshake, then under that of the application. */
function decrypt(bytes: Buffer, secrets: readonly Buffer[], suite: Suite): Buffer {
  const keys = secrets.map((secret) => ({
    key: expand(secret, 'key', suite.key, suite.hash),
    iv: expand(secret, 'iv', 12, suite.hash),
  }));
  const clear: Buffer[] = [];
  let [epoch, sequence] = [0, 0];
  for (const record of recordsOf(bytes)) {
    if (record.header[0] !== APPLICATION_DATA) continue;
    let inner = open(record, keys[epoch], sequence, suite);
    if (!inner && epoch === 0) {
      [epoch, sequence] = [1, 0];
      inner = open(record, keys[epoch], sequence, suite);
    }
    if (!inner) throw new Error('a record cannot be read with the keys of the log');
    sequence += 1;
    let end = inner.length - 1;
    while (inner[end] === 0) end -= 1;
    if (inner[end] === APPLICATION_DATA) clear.push(inner.subarray(0, end));
  }
  return Buffer.concat(clear);
}

function open(
  { header, body }: TlsRecord,
  keys: { key: Buffer; iv: Buffer } | undefined,
  sequence: number,
  { cipher }: Suite,
): Buffer | undefined {
  if (!keys) return undefined;
  const nonce = Buffer.from(keys.iv);
  const number = Buffer.alloc(12);
  number.writeBigUInt64BE(BigInt(sequence), 4);
  for (let i = 0; i < 12; i++) nonce[i] = (nonce[i] ?? 0) ^ (number[i] ?? 0);
  try {
    const decipher = createDecipheriv(cipher, keys.key, nonce).setAAD(header);
    decipher.setAuthTag(body.subarray(-16));
    return Buffer.concat([decipher.update(body.subarray(0, -16)), decipher.final()]);
  } catch {
    return undefined;
  }
}

/** HKDF-Expand-Label (RFC 8446 section 7.1) for what fits one block. */
function expand(secret: Buffer, label: string, length: number, hash: string): Buffer {
  const name = Buffer.from(`tls13 ${label}`);
  const info = Buffer.concat([Buffer.of(0, length, name.length), name, Buffer.of(0, 1)]);
  return createHmac(hash, secret).update(info).digest().subarray(0, length);
}
