// Makes a recording (trunk-conversation.ts) of what a trunk of this release says, for those that come after it.
import { Lane } from '../../gen/occmesh/link/v1/link.js';
import type { Frame } from '../../gen/occmesh/trunk/v1/trunk.js';
import { CloseCode } from '../../gen/occmesh/trunk/v1/trunk.js';
import { systemRandom } from '../../src/kernel/random.js';
import { bareEnvelope } from '../../src/link/envelope.js';
import { SPEAKS } from '../../src/link/negotiation.js';
import { cast } from '../unit/link/fixtures.js';
import { settle } from './fake-clock.js';
import {
  framesOf,
  type SpokenOnTrunk,
  type TrunkConversation,
  trunkCloudToday,
  trunkConnectorToday,
} from './trunk-conversation.js';

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const NOW = Date.UTC(2026, 0, 1);

/** A trunk on which everything is said once, between two ends of today. */
export async function recordTrunk(): Promise<TrunkConversation> {
  const who = await cast();
  const messages: SpokenOnTrunk[] = [];
  const conversation: TrunkConversation = {
    ...{ versions: [...SPEAKS.versions], capabilities: [...SPEAKS.capabilities], nowMs: NOW },
    ca: text(who.trust.ders[0] ?? Buffer.alloc(0)),
    certificate: text(who.connector.certificate.der),
    revokedKeys: [text(who.otherHub.certificate.key.keyId)],
    ...{ software: 'recorded', nonce: text(systemRandom.bytes(32)), messages },
  };
  const hello = {
    ...{ bootId: Buffer.alloc(16, 1), lanAddresses: ['192.0.2.1:11000', 'gateway:11000'] },
    ...{ software: 'recorded', clockMs: NOW + 5 },
  };
  const cloud = trunkCloudToday(conversation);
  const connector = trunkConnectorToday(conversation, hello);
  const taken = { connector: 0, cloud: 0 };
  const carry = async () => {
    for (let moved = true; moved; ) {
      await settle();
      moved = false;
      for (const [from, own, other] of [
        ['connector', connector, cloud],
        ['cloud', cloud, connector],
      ] as const) {
        for (const message of own.sent.slice(taken[from])) {
          taken[from] += 1;
          moved = true;
          const bytes = text(message);
          const says = framesOf({ bytes })
            .map(({ channel, body }) => `${body?.$case} ${channel}`)
            .join(', ');
          messages.push({ from, says, bytes });
          other.deliver(message);
        }
      }
    }
  };
  const open = (certificate: Uint8Array): Frame['body'] => {
    return { $case: 'open', value: { certificate, address: '192.0.2.7:40000' } };
  };
  const notDue = bareEnvelope(Lane.LIVE, Buffer.from([0xff]));
  const script: readonly (readonly [channel: number, body: Frame['body']])[] = [
    [1, open(who.hub.certificate.der)],
    [0, { $case: 'heartbeat', value: { number: 2, hubs: 1 } }],
    // Another customer's, or none at all: refused on its own channel. This one is revoked.
    [2, open(who.otherHub.certificate.der)],
    [3, open(Buffer.from('no certificate'))],
    [1, { $case: 'close', value: { code: CloseCode.DONE, message: 'the hub has gone', retryAfterMs: 0 } }],
    // What a hub says is the cloud's business, and so is its end.
    [4, open(who.hub.certificate.der)],
    [4, { $case: 'envelope', value: notDue }],
    [0, { $case: 'bye', value: { reason: '' } }],
  ];
  await carry();
  for (const [channel, body] of script) {
    await connector.say({ channel, body });
    await carry();
  }
  return conversation;
}
