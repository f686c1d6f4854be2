// Makes a recording (conversation.ts) of what this release says, for those that come after it.
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { ByeReason, Lane, Path } from '../../gen/occmesh/link/v1/link.js';
import { Gap, State } from '../../gen/occmesh/telemetry/v1/telemetry.js';
import { signContent } from '../../src/identity/signed.js';
import { TAGS } from '../../src/identity/tags.js';
import { uuidBytes } from '../../src/identity/uuid.js';
import { epochMs } from '../../src/kernel/duration.js';
import { systemRandom, uuid7 } from '../../src/kernel/random.js';
import type { DownMessage, UpMessage } from '../../src/link/envelope.js';
import { VERSIONS } from '../../src/link/negotiation.js';
import { packBatch } from '../../src/telemetry/batch.js';
import { chainNext, chainStart } from '../../src/telemetry/chain.js';
import { cast, desiredState, HEARTBEAT_MS } from '../unit/link/fixtures.js';
import { type Conversation, cloudToday, downOf, hubToday, type Spoken, sayDown, sayUp, upOf } from './conversation.js';
import { settle } from './fake-clock.js';

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const NOW = Date.UTC(2026, 0, 1);

/** What its batches hold, one each. */
export const FLUSHES = [0, 1].map((number) => ({
  number,
  readings: [
    {
      ...{ sensor: 1, takenAt: epochMs(NOW + number), state: State.WARNING, message: 'té' },
      values: [{ name: 'used', unit: '%', value: 90.5 }],
    },
    { sensor: 2, takenAt: epochMs(NOW + number), state: State.OK, message: '', values: [] },
  ],
}));

/** A session in which everything is said once, between two ends of today. */
export async function recordConversation(): Promise<Conversation> {
  const who = await cast();
  const random = systemRandom;
  const der = (key: KeyObject) => text(key.export({ type: 'pkcs8', format: 'der' }));
  const party = ({ key, certificate }: typeof who.hub) => ({
    key: der(key.keyObject),
    certificate: text(certificate.der),
    sessionKey: der(generateKeyPairSync('x25519').privateKey),
    nonce: text(random.bytes(32)),
  });
  const log = uuid7(random, epochMs(NOW));
  const machineId = uuidBytes(who.hub.certificate.identity.machineId);
  const chains: Buffer[] = [];
  for (const { readings } of FLUSHES) chains.push(chainNext(chains.at(-1) ?? chainStart(log), readings));
  const batches = FLUSHES.map((flush, n) => packBatch({ log, firstFlush: n, chain: chains[n] ?? log }, [flush])).map(
    (content) => signContent(who.hub.key, TAGS.BATCH, content),
  );
  const range = { first: 0, count: 1 };
  const gone = { ...range, first: 2 };
  const gap = {
    machineId,
    log,
    firstFlush: 2,
    flushCount: 1,
    reason: 1,
    noticedAtMs: NOW,
    witness: 1,
    readingCount: 3,
  };
  const beat = {
    ...{ log, next: 3, queuedReadings: 2, queuedAgeMs: 5, droppedReadings: 1, clockMs: NOW, backlogBytes: 99 },
  };
  const signedGap = signContent(who.hub.key, TAGS.GAP, Gap.encode(gap).finish());
  const script: readonly (readonly ['hub', UpMessage, Lane?] | readonly ['cloud', DownMessage])[] = [
    ['cloud', { $case: 'heartbeatAnswer', value: { number: 1, clockMs: NOW } }],
    ['hub', { $case: 'batch', value: batches[0] ?? signedGap }, Lane.LIVE],
    ['cloud', { $case: 'ack', value: { log, ranges: [range], chain: chains[0] ?? log } }],
    ['cloud', { $case: 'credit', value: { backfillBytes: 16_384 } }],
    ['hub', { $case: 'batch', value: batches[1] ?? signedGap }, Lane.BACKFILL],
    ['cloud', { $case: 'conflict', value: { log, range: { ...range, first: 1 } } }],
    ['hub', { $case: 'gap', value: signedGap }, Lane.CONTROL],
    ['cloud', { $case: 'gapAck', value: { log, range: gone } }],
    ['hub', { $case: 'digestRequest', value: { log, range } }],
    [
      'cloud',
      {
        $case: 'digestAnswer',
        value: { log, range, digests: [{ flush: 0, chain: chains[0] ?? log, expiredUntilMs: 0 }] },
      },
    ],
    ['cloud', { $case: 'desiredState', value: desiredState(who, 7) }],
    [
      'hub',
      { $case: 'applied', value: { version: 7, runningVersion: 7, error: '', failures: [], secretFailures: [] } },
    ],
    ['cloud', { $case: 'command', value: { id: 1, action: { $case: 'runSensor', value: { sensor: 1 } } } }],
    ['hub', { $case: 'result', value: { commandId: 1, outcome: 1, message: 'done', state: State.OK } }],
    ['cloud', { $case: 'advice', value: { reconnectWithinMs: 1_000, returnToConnector: true } }],
    ['hub', { $case: 'bye', value: { reason: ByeReason.SHUT_DOWN } }],
  ];
  const frames: Spoken[] = [];
  const ends = { versions: [...VERSIONS], nowMs: NOW, ca: text(who.trust.ders[0] ?? log) };
  const conversation: Conversation = { ...ends, hub: party(who.hub), cloud: party(who.cloud), frames };
  const hello = {
    ...{
      machineId,
      certificate: who.hub.certificate.der,
      bootId: Buffer.alloc(16, 1),
      generation: 3,
      configVersion: 6,
    },
    ...{ capabilities: [], clockMs: NOW, path: Path.CONNECTOR, software: 'recorded', previousEnd: 'DONE: goodbye' },
    logs: [{ log, first: 0, next: 3, acked: [], chain: log, closed: false, continued: false }],
    sealingKeys: [{ key: random.bytes(32), signature: random.bytes(64) }],
  };
  const welcome = {
    ...{ generation: 4, liveWindow: 262_144, configVersion: 7, clockMs: NOW, heartbeatMs: HEARTBEAT_MS },
    ...{ quarantined: false, software: 'recorded', revokedKeys: [Buffer.alloc(8, 5)] },
    holdings: [{ log, held: [], chain: Buffer.alloc(0), gaps: [] }],
  };
  const hub = hubToday(conversation, { hello, beat });
  const cloud = cloudToday(conversation, welcome);
  const taken = { hub: 0, cloud: 0 };
  const carry = async () => {
    for (let moved = true; moved; await settle()) {
      moved = false;
      for (const [from, own, other] of [
        ['cloud', cloud.tape, hub.tape],
        ['hub', hub.tape, cloud.tape],
      ] as const) {
        for (const bytes of own.sent.slice(taken[from])) {
          taken[from] += 1;
          moved = true;
          const spoken = { from, says: '', bytes: text(bytes) };
          frames.push({ ...spoken, says: (from === 'hub' ? upOf(spoken) : downOf(spoken)).$case });
          other.deliver(bytes);
        }
      }
    }
  };
  await carry();
  for (const [from, message, lane] of script) {
    if (from === 'hub') sayUp(hub.session, message, lane ?? Lane.CONTROL);
    else sayDown(cloud.session, message);
    await carry();
  }
  return conversation;
}
