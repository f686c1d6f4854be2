// Many like things at the same time, but not all of them.

/** Calls `make` for 0 … count-1, at most `atOnce` at a time; resolves with what it made, in order. The first failure rejects. */
export async function inParallel<T>(atOnce: number, count: number, make: (index: number) => Promise<T>): Promise<T[]> {
  const made = new Array<T>(count);
  let next = 0;
  const worker = async () => {
    for (let i = next++; i < count; i = next++) made[i] = await make(i);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, count) }, worker));
  return made;
}
