// Recorded trunks of each release, played once more against the code of today: the connector's half to today's cloud, the
// cloud's half to today's connector. As with sessions, each must understand what it hears, and say what that release said.
// A new release adds its own recording (UPDATE_GOLDEN=1); none is ever changed.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { type Frame, TrunkFrames, type TrunkHello } from '../../gen/occmesh/trunk/v1/trunk.js';
import { VERSIONS } from '../../src/link/negotiation.js';
import { hex } from '../support/conversation.js';
import { settle } from '../support/fake-clock.js';
import { ROOT } from '../support/programs.js';
import { recordTrunk } from '../support/record-trunk.js';
import {
  framesOf,
  rawFrames,
  type TrunkConversation,
  trunkCloudToday,
  trunkConnectorToday,
} from '../support/trunk-conversation.js';

const DIRECTORY = join(ROOT, 'test/contract/golden/conversations');
const CURRENT = `0.${Math.max(...VERSIONS)}`;
const update = process.env.UPDATE_GOLDEN === '1';

const fileOf = (release: string): string => join(DIRECTORY, release, 'trunk.json');
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const kindOf = ({ body }: Frame): string => body?.$case ?? 'nothing';

const saidBy = ({ messages }: TrunkConversation, who: 'connector' | 'cloud'): Buffer[] =>
  rawFrames(messages.filter(({ from }) => from === who).map(({ bytes }) => hex(bytes)));

function helloIn({ messages }: TrunkConversation): TrunkHello {
  const frames = messages.flatMap(framesOf);
  const [hello] = frames.flatMap(({ body }) => (body?.$case === 'hello' ? [body.value] : []));
  if (!hello) throw new Error('a trunk without a hello');
  return hello;
}

/** Plays it to both ends of today. */
async function replay(conversation: TrunkConversation) {
  const { version, versions, capabilities, ...self } = helloIn(conversation);
  const cloud = trunkCloudToday(conversation);
  const connector = trunkConnectorToday(conversation, self);
  for (const { from, bytes } of conversation.messages) {
    await settle();
    if (from === 'cloud') connector.deliver(hex(bytes));
    else {
      for (const frame of framesOf({ bytes })) await connector.say(frame);
      cloud.deliver(hex(bytes));
    }
  }
  await settle();
  return { cloud, connector };
}

/** Byte for byte, but for the words for people with which something ends. */
function comparable(raw: Uint8Array): string {
  const bytes = Buffer.concat([Buffer.of(0x0a, ...varint(raw.length)), raw]);
  const [frame] = TrunkFrames.decode(bytes).frames;
  if (frame?.body?.$case === 'close') return `close ${frame.channel} ${frame.body.value.code}`;
  return frame?.body?.$case === 'bye' ? 'bye' : text(raw);
}

const varint = (n: number): number[] => (n < 0x80 ? [n] : [(n & 0x7f) | 0x80, ...varint(n >>> 7)]);

async function expectAsEver(played: TrunkConversation, recorded = played): Promise<void> {
  const { cloud, connector } = await replay(played);
  const expected = { connector: saidBy(recorded, 'connector'), cloud: saidBy(recorded, 'cloud') };
  expect(rawFrames(connector.sent).map(comparable), 'what today’s connector says').to.deep.equal(
    expected.connector.map(comparable),
  );
  expect(rawFrames(cloud.sent).map(comparable), 'what today’s cloud says').to.deep.equal(
    expected.cloud.map(comparable),
  );
  expect(connector.end.why, 'today’s connector has no objection').to.equal(undefined);
  expect(cloud.end.why?.message, 'today’s cloud has none but the goodbye').to.equal('goodbye');
  const forHubs = recorded.messages
    .filter(({ from }) => from === 'cloud')
    .flatMap(framesOf)
    .flatMap(({ channel, body }) => {
      if (body?.$case === 'envelope') return [`envelope ${channel} ${text(body.value)}`];
      return body?.$case === 'close' ? [`close ${channel} ${body.value.code} ${body.value.message}`] : [];
    });
  expect(connector.heard, 'what today’s connector hands to hubs').to.deep.equal(forHubs);
}

describe('recorded trunks', () => {
  before(async () => {
    if (!update || existsSync(fileOf(CURRENT))) return;
    mkdirSync(dirname(fileOf(CURRENT)), { recursive: true });
    writeFileSync(fileOf(CURRENT), `${JSON.stringify(await recordTrunk(), undefined, 1)}\n`);
  });

  const read = (release: string) => JSON.parse(readFileSync(fileOf(release), 'utf8')) as TrunkConversation;

  it('are there of this release', () => {
    expect(existsSync(fileOf(CURRENT)), 'UPDATE_GOLDEN=1 make test-contract').to.equal(true);
  });

  it('have every kind of frame in them', async () => {
    for (const conversation of [read(CURRENT), await recordTrunk()]) {
      const kinds = (who: 'connector' | 'cloud') => {
        const frames = conversation.messages.filter(({ from }) => from === who).flatMap(framesOf);
        return [...new Set(frames.map(kindOf))].sort();
      };
      expect(kinds('connector')).to.deep.equal(['bye', 'close', 'envelope', 'heartbeat', 'hello', 'open']);
      expect(kinds('cloud')).to.deep.equal(['bye', 'close', 'envelope', 'heartbeatAnswer', 'welcome']);
    }
  });

  for (const release of existsSync(DIRECTORY) ? readdirSync(DIRECTORY) : []) {
    it(`of ${release} are understood, and would be said in the same words`, () => expectAsEver(read(release)));
  }

  it('would be missed if any frame were another, or not there (negative control)', async () => {
    const conversation = read(CURRENT);
    const missed = (messages: TrunkConversation['messages']) =>
      expectAsEver(conversation, { ...conversation, messages }).then(
        () => 'not missed',
        () => 'missed',
      );
    expect(await missed(conversation.messages), 'as it is').to.equal('not missed');
    for (const [n, message] of conversation.messages.entries()) {
      // Words for people may be others.
      if (!/^bye/.test(message.says)) {
        const changed = hex(message.bytes);
        const at = /^close/.test(message.says) ? codeAt(message) : changed.length - 1;
        changed[at] = (changed[at] ?? 0) ^ 1;
        const outcome = await missed(conversation.messages.with(n, { ...message, bytes: text(changed) }));
        expect(outcome, `message ${n}, ${message.says}, changed`).to.equal('missed');
      }
      const outcome = await missed(conversation.messages.toSpliced(n, 1));
      expect(outcome, `message ${n}, ${message.says}, gone`).to.equal('missed');
    }
  });
});

/** Where the code of a close stands: behind four tags with their lengths and the channel. */
const codeAt = ({ bytes }: { readonly bytes: string }): number => {
  const raw = hex(bytes);
  return raw.indexOf(0x22) + 3;
};
