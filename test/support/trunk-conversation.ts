// A trunk as it once was: every message that travelled between a connector and a cloud, with what each of them had to know,
// so that either end can be played again by the code of today. What hubs say inside it is opaque here: conversation.ts.
import { BinaryReader } from '@bufbuild/protobuf/wire';
import { type Frame, TrunkFrames } from '../../gen/occmesh/trunk/v1/trunk.js';
import { TrunkHost } from '../../src/cloud/sessions/trunk-host.js';
import { type HubChannel, TrunkLink, type TrunkLinkModules, type TrunkStream } from '../../src/connector/trunk-link.js';
import { TrustBundle } from '../../src/identity/certificates.js';
import { seconds } from '../../src/kernel/duration.js';
import { silentLogger } from '../../src/kernel/log.js';
import { peekLane } from '../../src/link/envelope.js';
import type { Ending } from '../../src/link/pipe.js';
import type { Member } from '../unit/identity/fixtures.js';
import { hex } from './conversation.js';
import { FakeClock } from './fake-clock.js';
import { SmallCloud } from './small-cloud.js';

export interface SpokenOnTrunk {
  readonly from: 'connector' | 'cloud';
  /** For readers: the kinds of its frames. */
  readonly says: string;
  /** TrunkFrames, hex. */
  readonly bytes: string;
}

/** Bytes are in hex. */
export interface TrunkConversation {
  readonly versions: readonly number[];
  readonly capabilities: readonly number[];
  readonly nowMs: number;
  readonly ca: string;
  /** The connector's, DER. */
  readonly certificate: string;
  /** Of keys that were revoked. */
  readonly revokedKeys: readonly string[];
  readonly software: string;
  /** Of every challenge. */
  readonly nonce: string;
  readonly messages: readonly SpokenOnTrunk[];
}

export const framesOf = ({ bytes }: Pick<SpokenOnTrunk, 'bytes'>): Frame[] => TrunkFrames.decode(hex(bytes)).frames;

/** The frames of messages one by one, as they are on the wire; in how many messages they come is no promise. */
export function rawFrames(messages: readonly Uint8Array[]): Buffer[] {
  return messages.flatMap((message) => {
    const frames: Buffer[] = [];
    for (const reader = new BinaryReader(message); reader.pos < reader.len; ) {
      reader.tag();
      frames.push(Buffer.from(reader.bytes()));
    }
    return frames;
  });
}

/** What both had to know. */
type Setting = Omit<TrunkConversation, 'messages'>;
type SelfDescription = ReturnType<TrunkLinkModules['hello']>;

/** How often a connector gives a sign of life, as the contract says. */
const PERIOD = seconds(10);

/** The cloud of today, which knows what that one knew. */
export function trunkCloudToday(conversation: Setting) {
  const clock = new FakeClock(conversation.nowMs);
  const trust = new TrustBundle([hex(conversation.ca)]);
  const certificate = trust.verify(hex(conversation.certificate), clock.now());
  const random = { uniform: () => 0, bytes: (length: number) => hex(conversation.nonce).subarray(0, length) };
  // Its own key and certificate are for sessions that come to a Welcome; none does here.
  const node = { certificate } as Member;
  const cloud = new SmallCloud({ node, trust, clock, random });
  for (const key of conversation.revokedKeys) cloud.inventory.revoked.add(key);
  const sent: Uint8Array[] = [];
  const end: { why?: Ending } = {};
  const transport = {
    bufferedBytes: 0,
    write: (message: Uint8Array) => void sent.push(message),
    drained: async () => undefined,
    end: (why: Ending) => {
      end.why = why;
    },
  };
  const services = { ...cloud.services, software: conversation.software };
  const { versions, capabilities } = conversation;
  const host = new TrunkHost(services, certificate, transport, { versions, capabilities });
  return { deliver: (bytes: Uint8Array) => host.received(bytes), sent, end };
}

/** The connector of today, which says of itself what that one said. */
export function trunkConnectorToday(conversation: Setting, hello: SelfDescription) {
  const clock = new FakeClock(conversation.nowMs);
  const sent: Uint8Array[] = [];
  const end: { why?: string } = {};
  let deliver: (bytes: Uint8Array) => void = () => undefined;
  const stream: TrunkStream = {
    bufferedBytes: 0,
    write: (message) => void sent.push(message),
    drained: async () => undefined,
    listen: (handlers) => {
      deliver = handlers.message;
    },
    end: () => undefined,
  };
  const { versions, capabilities } = conversation;
  const link = new TrunkLink({
    dial: async () => stream,
    hello: () => hello,
    onWelcome: () => undefined,
    ...{ clock, random: { uniform: () => 0, bytes: (length: number) => Buffer.alloc(length) }, log: silentLogger },
    speaks: { versions, capabilities },
  });
  const stop = new AbortController();
  link.onChange((to) => {
    if (to === 'down' && !stop.signal.aborted) end.why = 'the connector has ended it';
  });
  const running = link.run(stop.signal);
  const channels = new Map<number, HubChannel>();
  /** What came for hubs, as `kind channel content`. */
  const heard: string[] = [];

  /** Has the connector say this, by the door through which it goes. Hello and the first heartbeat it says unasked. */
  async function say({ channel: id, body }: Frame): Promise<void> {
    switch (body?.$case) {
      case 'open': {
        const opened = link.open(body.value, {
          envelope: (bytes) => void heard.push(`envelope ${id} ${Buffer.from(bytes).toString('hex')}`),
          closed: ({ code, message }) => void heard.push(`close ${id} ${code} ${message}`),
        });
        if (opened) channels.set(id, opened);
        return;
      }
      case 'envelope':
        return channels.get(id)?.send(body.value, peekLane(body.value));
      case 'close':
        return channels.get(id)?.close(body.value);
      case 'heartbeat':
        if (body.value.number > 1) await clock.advance(PERIOD);
        return;
      case 'bye':
        stop.abort();
        return running;
    }
  }
  return { say, deliver: (bytes: Uint8Array) => deliver(bytes), sent, end, heard };
}
