// So many at once, for each of several who must not stand in each other's way: whoever comes when all places are taken
// waits for one, in order.

interface Line {
  taken: number;
  readonly waiting: Set<() => void>;
}

export class Places {
  readonly #lines = new Map<string, Line>();

  /** `most`: places of each. */
  constructor(private readonly most: number) {}

  /** Resolves with what gives the place back, to be called once. Rejects with the signal's reason when that is aborted. */
  async take(name: string, signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    const line = this.#lines.get(name) ?? { taken: 0, waiting: new Set() };
    this.#lines.set(name, line);
    if (line.taken < this.most) line.taken += 1;
    else await inTurn(line, signal);
    return () => this.#giveBack(name, line);
  }

  #giveBack(name: string, line: Line): void {
    const [next] = line.waiting;
    if (next) return next();
    line.taken -= 1;
    if (line.taken === 0) this.#lines.delete(name);
  }
}

function inTurn({ waiting }: Line, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const enter = () => {
      leave();
      resolve();
    };
    const giveUp = () => {
      leave();
      reject(signal.reason);
    };
    const leave = () => {
      waiting.delete(enter);
      signal.removeEventListener('abort', giveUp);
    };
    waiting.add(enter);
    signal.addEventListener('abort', giveUp, { once: true });
  });
}
