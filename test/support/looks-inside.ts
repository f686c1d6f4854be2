// Opaque forwarding as counted operations: whoever carries what hub and cloud say to one another must not read or write any
// of it.
import { Envelope, LinkDown, LinkUp } from '../../gen/occmesh/link/v1/link.js';
import { Batch, Signed } from '../../gen/occmesh/telemetry/v1/telemetry.js';

/** How often whatever hub and cloud say to one another is read or written, while `action` runs. */
export async function looksInside(action: () => Promise<unknown>): Promise<number> {
  let count = 0;
  const restore = [Envelope, LinkUp, LinkDown, Signed, Batch].map((type: { encode: unknown; decode: unknown }) => {
    const { encode, decode } = type;
    const counting = (original: unknown) =>
      function (this: unknown, ...args: unknown[]) {
        count += 1;
        return Reflect.apply(original as () => unknown, this, args);
      };
    Object.assign(type, { encode: counting(encode), decode: counting(decode) });
    return () => Object.assign(type, { encode, decode });
  });
  try {
    await action();
  } finally {
    for (const again of restore) again();
  }
  return count;
}
