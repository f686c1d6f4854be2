// Another cloud, as small as it can be: sessions in memory, every rule of link.v1 kept, and on request exactly one of them
// broken.

import { CloseCode } from '../../../gen/occmesh/trunk/v1/trunk.js';
import type { End, Judge, PlayedHub, Target, Wire } from '../../../src/conformance/bench.js';
import type { MeshCertificate } from '../../../src/identity/certificates.js';
import type { SigningKey } from '../../../src/identity/keys.js';
import type { FakeEnrollment } from './fake-enrollment.js';
import { FakeSession } from './fake-session.js';

export type Flaw =
  | 'same nonce'
  | 'versions in any order'
  | 'another signs Welcome'
  | 'generation stands still'
  | 'no holdings'
  | 'no heartbeat period'
  | 'Hello unverified'
  | 'any machine id'
  | 'any version'
  | 'any session key'
  | 'any nonce'
  | 'any number of logs'
  | 'all capabilities'
  | 'clocks must be right'
  | 'Hello twice'
  | 'answers before Hello'
  | 'heartbeats answered twice'
  | 'MAC unverified'
  | 'counter unverified'
  | 'unknown fields refused'
  | 'unknown kinds passed over'
  | 'garbage passed over'
  | 'any size'
  | 'wrong lane'
  | 'wrong counters'
  | 'wrong MACs'
  | 'all pay for one'
  | 'acknowledges early'
  | 'acknowledges more'
  | 'stores twice'
  | 'forgets at a cut'
  | 'batches unverified'
  | 'key id taken'
  | 'any lane'
  | 'log guessed'
  | 'last one wins'
  | 'gaps lost'
  | 'gaps unverified'
  | 'invents digests'
  | 'grants nothing'
  | 'credit uncounted'
  | 'two sessions'
  | 'deaf to Bye'
  | 'no reason'
  | 'retired are welcome'
  | 'another machine each time'
  | 'tokens without end'
  | 'any secret'
  | 'any CSR'
  | 'garbage is answered'
  | 'renewed for anybody'
  | 'two trunks'
  | 'trunk garbage passed over'
  | 'trunk without hello'
  | 'any trunk version'
  | 'all trunk capabilities'
  | 'trunk heartbeats miscounted'
  | 'channels open by themselves'
  | 'crossing frames refused'
  | 'channel numbers again'
  | 'strangers are welcome'
  | 'channels are silent'
  | 'trunk ends with a channel';

export interface HeldLog {
  readonly flushes: Map<number, { readonly chain: Buffer; readings: number }>;
  readonly gaps: Set<number>;
}

/** What the fake believes and holds. */
export interface Memory {
  readonly flaw: Flaw | undefined;
  readonly cloud: { readonly key: SigningKey; readonly certificate: MeshCertificate };
  generation: number;
  readonly logs: Map<string, HeldLog>;
  readonly retired: Set<string>;
  readonly sessions: Set<FakeSession>;
}

export class FakeTarget implements Target, Judge {
  readonly memory: Memory;

  constructor(
    cloud: Memory['cloud'],
    private readonly enrollment: FakeEnrollment,
    flaw?: Flaw,
  ) {
    this.memory = { flaw, cloud, generation: 0, logs: new Map(), retired: new Set(), sessions: new Set() };
  }

  open(hub: PlayedHub): Wire {
    const pipe = new MemoryWire();
    const session = new FakeSession(this.memory, hub, pipe);
    pipe.onSend = (bytes) => session.received(bytes);
    return pipe;
  }

  enrol: Target['enrol'] = (method, sealed) => this.enrollment.answer(method, sealed);

  async readingsHeld(_machineId: Uint8Array, log: Uint8Array): Promise<number> {
    const held = this.memory.logs.get(Buffer.from(log).toString('hex'));
    return [...(held?.flushes.values() ?? [])].reduce((sum, { readings }) => sum + readings, 0);
  }

  async retire(machineId: Uint8Array): Promise<void> {
    const id = Buffer.from(machineId).toString('hex');
    this.memory.retired.add(id);
    for (const session of this.memory.sessions) if (session.hubId === id) session.end(CloseCode.REFUSED, 'retired');
  }
}

/** Both ends of a stream in memory. */
export class MemoryWire implements Wire {
  onSend: (bytes: Uint8Array) => void = () => undefined;
  readonly ended: Promise<End>;
  #resolveEnded: (end: End) => void = () => undefined;
  readonly #waiting: Uint8Array[] = [];
  #receivers: ((bytes: Uint8Array | undefined) => void)[] = [];
  isOver = false;

  constructor() {
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve;
    });
  }

  send(envelope: Uint8Array): void {
    queueMicrotask(() => this.isOver || this.onSend(envelope));
  }

  receive(): Promise<Uint8Array | undefined> {
    const next = this.#waiting.shift();
    if (next || this.isOver) return Promise.resolve(next);
    return new Promise((resolve) => this.#receivers.push(resolve));
  }

  close(): void {
    // As on a network: what was sent before the cut may have come.
    queueMicrotask(() => this.over({ reason: '', message: 'cut', retryAfterMs: 0 }));
  }

  deliver(envelope: Uint8Array): void {
    if (this.isOver) return;
    const receiver = this.#receivers.shift();
    if (receiver) receiver(envelope);
    else this.#waiting.push(envelope);
  }

  over(end: End): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#resolveEnded(end);
    for (const receiver of this.#receivers.splice(0)) receiver(undefined);
  }
}
