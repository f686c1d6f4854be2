// The cloud's end of a trunk, as the fake cloud has it: channels are sessions of the fake.
import { CloseCode, type Frame, TrunkFrames, TrunkWelcome } from '../../../gen/occmesh/trunk/v1/trunk.js';
import type { PlayedConnector, PlayedHub } from '../../../src/conformance/bench.js';
import { FakeSession } from './fake-session.js';
import { type FakeTarget, type Flaw, MemoryWire } from './fake-target.js';

type Body = NonNullable<Frame['body']>;

class TrunkFault extends Error {
  constructor(
    readonly code: CloseCode,
    message: string,
  ) {
    super(message);
  }
}

/** A connector of the fake cloud's, with a hub. */
export function fakeConnector(target: FakeTarget, hub: PlayedHub, certificate: Buffer): PlayedConnector {
  let newest: FakeTrunk | undefined;
  return {
    certificate,
    hub,
    openTrunk: () => {
      const wire = new MemoryWire();
      const trunk = new FakeTrunk(target, hub, wire, () => {
        if (target.memory.flaw !== 'two trunks') newest?.end(CloseCode.SUPERSEDED, 'newer');
        newest = trunk;
      });
      wire.onSend = (bytes) => trunk.received(bytes);
      return wire;
    },
  };
}

class FakeTrunk {
  readonly #channels = new Map<number, MemoryWire>();
  readonly #used = new Set<number>();
  #greeted = false;

  constructor(
    private readonly target: FakeTarget,
    private readonly hub: PlayedHub,
    private readonly wire: MemoryWire,
    private readonly onGreeted: () => void,
  ) {}

  received(bytes: Uint8Array): void {
    try {
      for (const { channel, body } of TrunkFrames.decode(bytes).frames) if (body) this.#frame(channel, body);
    } catch (thrown) {
      if (this.#has('trunk garbage passed over') && !(thrown instanceof TrunkFault)) return;
      const { code, message } =
        thrown instanceof TrunkFault ? thrown : new TrunkFault(CloseCode.PROTOCOL, String(thrown));
      this.end(code, message);
    }
  }

  end(code: CloseCode, message: string): void {
    this.wire.over({ reason: CloseCode[code], message, retryAfterMs: 0 });
  }

  #has(flaw: Flaw): boolean {
    return this.target.memory.flaw === flaw;
  }

  #must(condition: boolean, message: string, code = CloseCode.PROTOCOL): void {
    if (!condition) throw new TrunkFault(code, message);
  }

  #frame(channel: number, body: Body): void {
    this.#must(this.#greeted || body.$case === 'hello' || this.#has('trunk without hello'), 'hello first');
    switch (body.$case) {
      case 'hello': {
        const { version, versions, capabilities } = body.value;
        const isSpoken = version === 1 || versions.includes(1) || this.#has('any trunk version');
        this.#must(isSpoken, 'no version in common. Update the cloud.', CloseCode.VERSION);
        this.#must(!this.#greeted, 'hello again');
        this.#greeted = true;
        this.onGreeted();
        const known = this.#has('all trunk capabilities') ? capabilities : [];
        const value = TrunkWelcome.fromPartial({ version: 1, heartbeatMs: 10_000, capabilities: known });
        return this.#say(0, { $case: 'welcome', value });
      }
      case 'heartbeat': {
        const number = body.value.number + (this.#has('trunk heartbeats miscounted') ? 1 : 0);
        return this.#say(0, { $case: 'heartbeatAnswer', value: { ...body.value, number } });
      }
      case 'open':
        return this.#open(channel, body.value.certificate);
      case 'envelope': {
        this.#must(this.#used.has(channel) || this.#has('channels open by themselves'), 'not opened');
        const wire = this.#channels.get(channel);
        this.#must(wire !== undefined || !this.#has('crossing frames refused'), 'it has ended');
        return wire?.onSend(body.value);
      }
      case 'close':
        this.#channels.delete(channel);
        return;
      default:
    }
  }

  #open(channel: number, certificate: Uint8Array): void {
    this.#must(!this.#used.has(channel) || this.#has('channel numbers again'), 'used before');
    this.#used.add(channel);
    if (!this.hub.certificate.equals(certificate) && !this.#has('strangers are welcome')) {
      return this.#close(channel, CloseCode.REFUSED, 'a stranger');
    }
    const wire = new MemoryWire();
    this.#channels.set(channel, wire);
    // Before the session, which speaks first.
    const silent = this.#has('channels are silent');
    wire.deliver = (value) => silent || this.#say(channel, { $case: 'envelope', value });
    void wire.ended.then(({ reason, message }) => {
      const code = CloseCode[reason as keyof typeof CloseCode] ?? CloseCode.DONE;
      if (this.#has('trunk ends with a channel')) this.end(code, message);
      this.#close(channel, code, message);
    });
    const session = new FakeSession(this.target.memory, this.hub, wire);
    wire.onSend = (bytes) => session.received(bytes);
  }

  #close(channel: number, code: CloseCode, message: string): void {
    this.#channels.delete(channel);
    this.#say(channel, { $case: 'close', value: { code, message, retryAfterMs: 0 } });
  }

  #say(channel: number, body: Body): void {
    this.wire.deliver(TrunkFrames.encode({ frames: [{ channel, body }] }).finish());
  }
}
