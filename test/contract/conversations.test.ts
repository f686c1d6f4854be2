// Recorded sessions of each release, played once more against the code of today: the hub's half to today's cloud, the
// cloud's half to today's hub. Each must understand what it hears, and say, byte for byte, what that release said.
// A new release adds its own recording (UPDATE_GOLDEN=1); none is ever changed.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { verifySigned } from '../../src/identity/signed.js';
import { TAGS } from '../../src/identity/tags.js';
import { VERSIONS } from '../../src/link/negotiation.js';
import { unpackBatch } from '../../src/telemetry/batch.js';
import {
  type Conversation,
  cloudToday,
  downOf,
  envelopeOf,
  hex,
  hubToday,
  type Spoken,
  sayDown,
  sayUp,
  type Tape,
  upOf,
} from '../support/conversation.js';
import { settle } from '../support/fake-clock.js';
import { ROOT } from '../support/programs.js';
import { FLUSHES, recordConversation } from '../support/record-conversation.js';

const DIRECTORY = join(ROOT, 'test/contract/golden/conversations');
const CURRENT = `0.${Math.max(...VERSIONS)}`;
const update = process.env.UPDATE_GOLDEN === '1';

const fileOf = (release: string): string => join(DIRECTORY, release, 'link.json');
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** What both say of themselves, as it was recorded. */
function both({ frames }: Conversation) {
  const ups = frames.filter(({ from }) => from === 'hub').map(upOf);
  const [hello] = ups.flatMap((message) => (message.$case === 'hello' ? [message.value] : []));
  const [beat] = ups.flatMap((message) => (message.$case === 'heartbeat' ? [message.value] : []));
  const [welcome] = frames
    .filter(({ from }) => from === 'cloud')
    .map(downOf)
    .flatMap((message) => (message.$case === 'welcome' ? [message.value] : []));
  if (!hello || !beat || !welcome) throw new Error('a conversation without a handshake');
  return { hello, beat, welcome };
}

/** Plays it, and returns what today's ends have said and understood. */
async function replay(conversation: Conversation) {
  const { hello, beat, welcome } = both(conversation);
  const cloud = cloudToday(conversation, welcome);
  const hub = hubToday(conversation, { hello, beat });
  let beats = 0;
  for (const spoken of conversation.frames) {
    if (spoken.from === 'hub') {
      const message = upOf(spoken);
      // Said without being told to: Hello, and the first sign of life.
      if (message.$case !== 'hello' && !(message.$case === 'heartbeat' && beats++ === 0)) {
        sayUp(hub.session, message, envelopeOf(spoken).lane);
      }
      cloud.tape.deliver(hex(spoken.bytes));
    } else {
      const message = downOf(spoken);
      if (message.$case !== 'challenge' && message.$case !== 'welcome') sayDown(cloud.session, message);
      hub.tape.deliver(hex(spoken.bytes));
    }
    await settle();
  }
  return { cloud, hub };
}

/** What cannot be the same twice, a signature by ECDSA, is left out: it is verified by whoever hears it. */
const comparable = (spoken: Spoken): string =>
  spoken.says === 'hello' || spoken.says === 'welcome' ? text(envelopeOf(spoken).payload) : spoken.bytes;

function said(tape: Tape, recorded: readonly Spoken[]): string[] {
  return tape.sent.map((bytes, i) => comparable({ from: 'hub', says: recorded[i]?.says ?? '', bytes: text(bytes) }));
}

async function expectAsEver(conversation: Conversation): Promise<void> {
  const { cloud, hub } = await replay(conversation);
  const [ups, downs] = (['hub', 'cloud'] as const).map((who) => conversation.frames.filter(({ from }) => from === who));
  expect(hub.tape.ended, 'today’s hub has no objection').to.equal(undefined);
  expect(cloud.tape.ended, 'today’s cloud has no objection').to.equal(undefined);
  expect(said(hub.tape, ups ?? []), 'what today’s hub says').to.deep.equal((ups ?? []).map(comparable));
  expect(said(cloud.tape, downs ?? []), 'what today’s cloud says').to.deep.equal((downs ?? []).map(comparable));
  expect(cloud.host.received_.map(({ $case }) => $case)).to.deep.equal((ups ?? []).slice(1).map(({ says }) => says));
  expect(hub.member.received_).to.deep.equal((downs ?? []).slice(2).map(downOf));
  const { hello } = both(conversation);
  const key = cloud.host.verifyHub(hello);
  const batches = cloud.host.received_.flatMap((message) => (message.$case === 'batch' ? [message.value] : []));
  expect(batches).to.not.be.empty;
  for (const [n, batch] of batches.entries()) {
    expect(verifySigned(key, TAGS.BATCH, batch), 'signature of a batch').to.equal(true);
    expect(unpackBatch(batch.content).flushes()).to.deep.equal([FLUSHES[n]]);
  }
  for (const message of cloud.host.received_) {
    if (message.$case === 'gap')
      expect(verifySigned(key, TAGS.GAP, message.value), 'signature of a gap').to.equal(true);
  }
  for (const message of hub.member.received_) {
    if (message.$case !== 'desiredState' || !message.value.signed) continue;
    const node = hub.member.verifyCloud(message.value.certificate);
    expect(verifySigned(node, TAGS.DESIRED_STATE, message.value.signed), 'signature of a state').to.equal(true);
  }
}

describe('recorded sessions', () => {
  before(async () => {
    if (!update || existsSync(fileOf(CURRENT))) return;
    mkdirSync(dirname(fileOf(CURRENT)), { recursive: true });
    writeFileSync(fileOf(CURRENT), `${JSON.stringify(await recordConversation(), undefined, 1)}\n`);
  });

  it('are there of this release', () => {
    expect(existsSync(fileOf(CURRENT)), 'UPDATE_GOLDEN=1 make test-contract').to.equal(true);
  });

  const releases = existsSync(DIRECTORY) ? readdirSync(DIRECTORY) : [];
  const read = (release: string) => JSON.parse(readFileSync(fileOf(release), 'utf8')) as Conversation;
  for (const release of releases) {
    it(`of ${release} are understood, and would be said in the same words`, () => expectAsEver(read(release)));
  }

  it('would be missed if any frame were another (negative control)', async () => {
    const conversation = read(CURRENT);
    for (const [n, spoken] of conversation.frames.entries()) {
      const changed = hex(spoken.bytes);
      const last = changed.length - 1;
      changed[last] = (changed[last] ?? 0) ^ 1;
      const frames = conversation.frames.with(n, { ...spoken, bytes: text(changed) });
      const outcome = await expectAsEver({ ...conversation, frames }).then(
        () => 'not missed',
        () => 'missed',
      );
      expect(outcome, `frame ${n}`).to.equal('missed');
    }
  });
});
