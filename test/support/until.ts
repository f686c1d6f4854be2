// Waiting for what happens outside of virtual time (files, cryptography of the platform) without sleeping.

const PATIENCE_MS = 5_000;

/** Lets the event loop turn until the condition holds; fails when it does not within a few seconds of real time. */
export async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`waited in vain: ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
