// A session as it once was: every frame that travelled, with the keys and nonces of both ends, so that either end can be
// played again by the code of today. One JSON file per conversation, test/contract/golden/conversations/<release>/.
import { createPrivateKey } from 'node:crypto';
import type { Envelope, Lane } from '../../gen/occmesh/link/v1/link.js';
import { TrustBundle } from '../../src/identity/certificates.js';
import { SigningKey } from '../../src/identity/keys.js';
import { silentLogger } from '../../src/kernel/log.js';
import { type Admission, CloudSession } from '../../src/link/cloud-session.js';
import { type DownMessage, decodeDown, decodeEnvelope, decodeUp, type UpMessage } from '../../src/link/envelope.js';
import { SessionKeyPair } from '../../src/link/frames.js';
import { HubSession, type SelfDescription } from '../../src/link/hub-session.js';
import type { Ending, Pipe, PipeHandlers } from '../../src/link/pipe.js';
import { RecordingHost, RecordingMember } from '../unit/link/fixtures.js';
import { FakeClock } from './fake-clock.js';

/** One end; all in hex. Keys are PKCS #8, DER. */
interface Party {
  readonly key: string;
  readonly certificate: string;
  readonly sessionKey: string;
  readonly nonce: string;
}

export interface Spoken {
  readonly from: 'hub' | 'cloud';
  /** For readers: the kind of message. */
  readonly says: string;
  /** The envelope, hex. */
  readonly bytes: string;
}

export interface Conversation {
  readonly versions: readonly number[];
  readonly nowMs: number;
  readonly ca: string;
  readonly hub: Party;
  readonly cloud: Party;
  readonly frames: readonly Spoken[];
}

type Beat = ReturnType<RecordingMember['heartbeat']>;

export const hex = (text: string): Buffer => Buffer.from(text, 'hex');
const privateKey = (der: string) => createPrivateKey({ key: hex(der), format: 'der', type: 'pkcs8' });

/** A carrier with one end only: what is sent stays here. */
export class Tape implements Pipe {
  readonly sent: Uint8Array[] = [];
  readonly queuedBytes = 0;
  ended: Ending | undefined;
  #handlers: PipeHandlers | undefined;

  listen(handlers: PipeHandlers): void {
    this.#handlers = handlers;
  }

  send(envelope: Uint8Array): void {
    this.sent.push(Uint8Array.from(envelope));
  }

  async drained(): Promise<void> {}

  close(why: Ending): void {
    this.ended ??= why;
  }

  deliver(envelope: Uint8Array): void {
    this.#handlers?.message(envelope);
  }
}

export const envelopeOf = ({ bytes }: Spoken): Envelope => decodeEnvelope(hex(bytes));
export const upOf = (spoken: Spoken): UpMessage => decodeUp(envelopeOf(spoken).payload);
export const downOf = (spoken: Spoken): DownMessage => decodeDown(envelopeOf(spoken).payload);

function memberOf(conversation: Conversation, party: Party) {
  const trust = new TrustBundle([hex(conversation.ca)]);
  const clock = new FakeClock(conversation.nowMs);
  const key = SigningKey.fromPem(privateKey(party.key).export({ type: 'pkcs8', format: 'pem' }).toString());
  const certificate = trust.verify(hex(party.certificate), clock.now());
  return { trust, clock, member: { key, certificate } };
}

/** The cloud of today, which has the keys, and says Challenge and Welcome, as they were. */
export function cloudToday(conversation: Conversation, welcome: Admission['welcome']) {
  const { trust, clock, member } = memberOf(conversation, conversation.cloud);
  const tape = new Tape();
  const host = new RecordingHost(member, memberOf(conversation, conversation.hub).member, trust, clock);
  host.admission = async () => ({ welcome });
  host.answersHeartbeats = false;
  const session = new CloudSession({
    ...{ pipe: tape, host, clock },
    random: { uniform: () => 0, bytes: () => hex(conversation.cloud.nonce) },
    speaks: { versions: conversation.versions, capabilities: [] },
    keyPair: new SessionKeyPair(privateKey(conversation.cloud.sessionKey)),
  });
  return { session, host, tape };
}

/** The hub of today, which has the keys, and says of itself what it said. */
export function hubToday(conversation: Conversation, self: { hello: SelfDescription; beat: Beat }) {
  const { trust, clock, member: identity } = memberOf(conversation, conversation.hub);
  const member = new RecordingMember(identity, trust, clock);
  member.hello = () => self.hello;
  member.heartbeat = () => self.beat;
  const tape = new Tape();
  const session = new HubSession({
    ...{ pipe: tape, member, clock, log: silentLogger, versions: conversation.versions },
    nonce: hex(conversation.hub.nonce),
    keyPair: new SessionKeyPair(privateKey(conversation.hub.sessionKey)),
  });
  return { session, member, tape };
}

/** Lets the hub say it, by the door through which it goes. */
export function sayUp(session: HubSession, message: UpMessage, lane: Lane): void {
  if (message.$case === 'batch' || message.$case === 'gap') session.sendContent(message, lane);
  else session.send(message);
}

export function sayDown(session: CloudSession, message: DownMessage): void {
  if (message.$case === 'desiredState') session.sendDesiredState(message.value);
  else session.send(message);
}
