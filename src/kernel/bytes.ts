// Bytes, in memory and as text.

/**
 * A copy that shares memory with nothing else. A small Buffer usually is a part of 8 or 64 KiB that many share, and those
 * stay in memory as long as one of them does: what ten thousand sessions keep for themselves must not be such a part.
 */
export function keep(bytes: Uint8Array): Buffer {
  const own = Buffer.allocUnsafeSlow(bytes.length);
  own.set(bytes);
  return own;
}

/** The same bytes, in the same memory. */
export const view = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

export const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
