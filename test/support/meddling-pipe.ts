// A pipe between a session and its carrier on which a test can lay its hands.
import type { Lane } from '../../gen/occmesh/link/v1/link.js';
import type { Ending, Pipe, PipeHandlers } from '../../src/link/pipe.js';

/** What is sent instead of an envelope: nothing, something else, several. */
export type Meddle = (envelope: Uint8Array) => readonly Uint8Array[];

export class MeddlingPipe implements Pipe {
  constructor(
    private readonly inner: Pipe,
    private readonly meddle: Meddle,
  ) {}

  listen(handlers: PipeHandlers): void {
    this.inner.listen(handlers);
  }

  send(envelope: Uint8Array, lane: Lane): void {
    for (const other of this.meddle(envelope)) this.inner.send(other, lane);
  }

  get queuedBytes(): number {
    return this.inner.queuedBytes;
  }

  drained(): Promise<void> {
    return this.inner.drained();
  }

  close(why: Ending): void {
    this.inner.close(why);
  }
}
