// The only source of randomness. Handed in everywhere, so that a test can print its seed and repeat itself.
import { randomBytes } from 'node:crypto';
import type { EpochMs } from './duration.js';

export interface Random {
  /** Uniform in [0, 1). For jitter, never for secrets. */
  uniform(): number;
  /** `length` bytes; from systemRandom they are fit for secrets. */
  bytes(length: number): Buffer;
}

export const systemRandom: Random = {
  uniform: () => randomBytes(6).readUIntBE(0, 6) / 2 ** 48,
  bytes: (length) => randomBytes(length),
};

/** 16 bytes that sort by birth time: a UUID version 7 (RFC 9562 section 5.7). */
export function uuid7(random: Random, now: EpochMs): Buffer {
  const id = random.bytes(16);
  id.writeUIntBE(Math.max(0, now), 0, 6);
  id[6] = ((id[6] ?? 0) & 0x0f) | 0x70;
  id[8] = ((id[8] ?? 0) & 0x3f) | 0x80;
  return id;
}
