// The keys under which webhooks are signed: each is derived from one key of the cloud, so that none of them is stored.
import { hkdfSync } from 'node:crypto';
import { malformed } from '../../identity/fault.js';
import type { Random } from '../../kernel/random.js';

const BEGIN = '-----BEGIN OCC-MESH NOTIFY KEY-----';
const END = '-----END OCC-MESH NOTIFY KEY-----';
const LENGTH = 32;

export class ChannelKeys {
  readonly #secret: Buffer;

  private constructor(secret: Buffer) {
    this.#secret = secret;
  }

  static generate(random: Random): ChannelKeys {
    return new ChannelKeys(random.bytes(LENGTH));
  }

  /** Faults: identity.malformed. */
  static fromPem(pem: string): ChannelKeys {
    const [begin, content = '', end] = pem.trim().split(/\r?\n/);
    const secret = Buffer.from(content, 'base64');
    if (begin !== BEGIN || end !== END || secret.length !== LENGTH) throw malformed('this is no notify key');
    return new ChannelKeys(secret);
  }

  toPem(): string {
    return `${BEGIN}\n${this.#secret.toString('base64')}\n${END}\n`;
  }

  /** 32 bytes. */
  of(channelId: string): Buffer {
    return Buffer.from(hkdfSync('sha256', this.#secret, '', `occ-mesh webhook v1 ${channelId}`, LENGTH));
  }
}
