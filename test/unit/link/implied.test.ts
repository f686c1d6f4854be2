// What is left out of batches and put back: only what the session implies, and only from what both ends have seen.
import { expect } from 'chai';
import fc from 'fast-check';
import { Lane } from '../../../gen/occmesh/link/v1/link.js';
import { Batch, type Signed } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { CloseCode } from '../../../gen/occmesh/trunk/v1/trunk.js';
import { SigningKey } from '../../../src/identity/keys.js';
import { signContent, verifySigned } from '../../../src/identity/signed.js';
import { TAGS } from '../../../src/identity/tags.js';
import { bareEnvelope, decodeEnvelope, decodeUp, encodeUp, type UpMessage } from '../../../src/link/envelope.js';
import { Implied } from '../../../src/link/implied.js';
import { settle } from '../../support/fake-clock.js';
import { seededRandom } from '../../support/seeded-random.js';
import { type Cast, cast, connect, type Link } from './fixtures.js';

const LOG = Buffer.alloc(16, 0xb1);
const OTHER_LOG = Buffer.alloc(16, 0xb2);
/** So long that every length around it takes two bytes, whatever is left out. */
const COLUMNS = Buffer.alloc(200, 0xb3);
const IMPLIED_BYTES = { log: 18, keyId: 10 };

const batchOf = (log: Uint8Array, firstFlush = 0): Uint8Array =>
  Batch.encode(Batch.fromPartial({ log, firstFlush, flushCount: 1, chain: LOG, columns: COLUMNS })).finish();

const codeOf = (action: () => unknown): unknown => {
  try {
    action();
    return 'none';
  } catch (thrown) {
    return (thrown as { code?: unknown }).code;
  }
};

describe('link: what a session implies', () => {
  const key = SigningKey.generate();
  const at = (...logs: Uint8Array[]): Implied => {
    const end = new Implied(key.publicKey);
    for (const log of logs) end.heartbeat({ log });
    return end;
  };
  const signed = (log: Uint8Array, firstFlush?: number) => signContent(key, TAGS.BATCH, batchOf(log, firstFlush));

  it('is put back as it was left out, whatever logs the heartbeats and batches name', () => {
    const logs = fc.constantFrom(LOG, OTHER_LOG, new Uint8Array(0));
    fc.assert(
      fc.property(fc.array(logs), fc.constantFrom(LOG, OTHER_LOG), fc.nat(300), (heard, log, firstFlush) => {
        const [hub, cloud] = [at(...heard), at(...heard)];
        const batch = signed(log, firstFlush);
        const travels = hub.leaveOut(batch);
        const isImplied = Buffer.from(heard.find(({ length }) => length > 0) ?? []).equals(log);
        expect(travels.content.length).to.equal(batch.content.length - (isImplied ? IMPLIED_BYTES.log : 0));
        expect(travels.keyId).to.have.length(0);
        const back = cloud.putBack(travels);
        // It may wait for long in a cloud with ten thousand others: not as a part of memory that many share.
        expect(back.keyId.buffer.byteLength).to.equal(back.keyId.length);
        expect(Buffer.from(back.content).equals(batch.content)).to.equal(true);
        expect(verifySigned(key.publicKey, TAGS.BATCH, back)).to.equal(true);
      }),
    );
  });

  it('is the first log that was named, also after a later one: lanes may overtake one another', () => {
    const travels = at(LOG).leaveOut(signed(LOG));
    const back = at(LOG, OTHER_LOG).putBack(travels);
    expect(verifySigned(key.publicKey, TAGS.BATCH, back)).to.equal(true);
    // Negative control: with another log it is not what was signed.
    expect(verifySigned(key.publicKey, TAGS.BATCH, at(OTHER_LOG).putBack(travels))).to.equal(false);
  });

  it('is the key of the Hello and no other', () => {
    const renewed = SigningKey.generate();
    const travels = at(LOG).leaveOut(signed(LOG));
    const other = new Implied(renewed.publicKey);
    other.heartbeat({ log: LOG });
    const back = other.putBack(travels);
    expect(renewed.publicKey.keyId.equals(back.keyId)).to.equal(true);
    expect([key, renewed].some(({ publicKey }) => verifySigned(publicKey, TAGS.BATCH, back))).to.equal(false);
  });

  it('must not be named, and must be known', () => {
    const { keyId } = key.publicKey;
    const travels = at(LOG).leaveOut(signed(LOG));
    expect(codeOf(() => at(LOG).putBack({ ...travels, keyId }))).to.equal('link.protocol');
    expect(codeOf(() => at().putBack(travels))).to.equal('link.protocol');
    expect(codeOf(() => at(new Uint8Array(0), Buffer.alloc(15)).putBack(travels))).to.equal('link.protocol');
    expect(codeOf(() => at(LOG).putBack(travels))).to.equal('none');
  });
});

describe('link: batches on their way', () => {
  let who: Cast;
  before(async () => {
    who = await cast();
  });

  const session = async (log: Uint8Array): Promise<Link> => {
    const link = connect(who, { random: seededRandom(1) });
    const { member } = link;
    const { heartbeat } = member;
    member.heartbeat = () => ({ ...heartbeat.call(member), log });
    await settle();
    expect(link.host.isUp).to.equal(true);
    return link;
  };
  const batches = (messages: readonly UpMessage[]): Signed[] =>
    messages.flatMap((message) => (message.$case === 'batch' ? [message.value] : []));

  it('lack key and log, and reach the host complete', async () => {
    const link = await session(LOG);
    const signed = [LOG, OTHER_LOG].map((log) => signContent(who.hub.key, TAGS.BATCH, batchOf(log)));
    const sizes = signed.map((value) => link.hub.sendContent({ $case: 'batch', value }, Lane.LIVE));
    const whole = bareEnvelope(Lane.LIVE, encodeUp({ $case: 'batch', value: signed[0] as Signed })).length;
    expect(sizes).to.deep.equal([whole - IMPLIED_BYTES.log - IMPLIED_BYTES.keyId, whole - IMPLIED_BYTES.keyId]);
    await settle();
    expect(batches(link.host.received_).map(({ content }) => Buffer.from(content))).to.deep.equal(
      signed.map(({ content }) => Buffer.from(content)),
    );
    const { publicKey } = who.hub.key;
    expect(batches(link.host.received_).every((one) => verifySigned(publicKey, TAGS.BATCH, one))).to.equal(true);
    link.carrier.cut();
  });

  it("that were signed by another key are not the hub's, whoever they name", async () => {
    const link = await session(LOG);
    const foreign = signContent(who.otherHub.key, TAGS.BATCH, batchOf(LOG));
    link.hub.sendContent({ $case: 'batch', value: foreign }, Lane.LIVE);
    await settle();
    const [received] = batches(link.host.received_);
    expect(received && who.hub.key.publicKey.keyId.equals(received.keyId)).to.equal(true);
    expect(received && verifySigned(who.hub.key.publicKey, TAGS.BATCH, received)).to.equal(false);
    link.carrier.inject('up', bareEnvelope(Lane.LIVE, encodeUp({ $case: 'batch', value: foreign })));
    await settle();
    expect(link.carrier.endings.hub?.code).to.equal(CloseCode.PROTOCOL);
    expect(batches(link.host.received_)).to.have.length(1);
  });

  it('that lack a log are refused where no Heartbeat has named one', async () => {
    const [named, unnamed] = [await session(LOG), await session(new Uint8Array(0))];
    named.hub.sendContent({ $case: 'batch', value: signContent(who.hub.key, TAGS.BATCH, batchOf(LOG)) }, Lane.LIVE);
    const travels = named.carrier.of('up').at(-1) ?? new Uint8Array(0);
    expect(decodeUp(decodeEnvelope(travels).payload).$case).to.equal('batch');
    unnamed.carrier.inject('up', travels);
    await settle();
    expect(unnamed.carrier.endings.hub?.code).to.equal(CloseCode.PROTOCOL);
    expect(named.carrier.endings.hub).to.equal(undefined);
    named.carrier.cut();
  });
});
