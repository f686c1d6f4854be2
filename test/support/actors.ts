// Members of a mesh that live inside a test: enrolled with real tokens, with real keys and certificates, speaking the
// real protocol over real TLS, so that a test can do with them what the program never does.
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { Lane, LinkServiceService, Path, type Welcome } from '../../gen/occmesh/link/v1/link.js';
import {
  CloseCode,
  type Frame,
  TrunkFrames,
  TrunkHello,
  TrunkServiceService,
} from '../../gen/occmesh/trunk/v1/trunk.js';
import { Role } from '../../src/client/index.js';
import type { ByteStream } from '../../src/contract/byte-stream.js';
import type { LocalMesh } from '../../src/demo/mesh.js';
import { TrustBundle } from '../../src/identity/certificates.js';
import type { SigningKey, VerifyKey } from '../../src/identity/keys.js';
import { signContent } from '../../src/identity/signed.js';
import { TAGS } from '../../src/identity/tags.js';
import { parseEnrollmentToken } from '../../src/identity/token-text.js';
import { uuidBytes, uuidText } from '../../src/identity/uuid.js';
import { systemClock as clock, sleep } from '../../src/kernel/clock.js';
import { milliseconds } from '../../src/kernel/duration.js';
import { describe } from '../../src/kernel/fault.js';
import { silentLogger } from '../../src/kernel/log.js';
import { systemRandom, uuid7 } from '../../src/kernel/random.js';
import { openStream } from '../../src/link/dial.js';
import type { DownMessage } from '../../src/link/envelope.js';
import { type HubMember, HubSession, type SelfDescription } from '../../src/link/hub-session.js';
import { type Ending, ending, type Pipe } from '../../src/link/pipe.js';
import { StreamPipe } from '../../src/link/stream-pipe.js';
import { type CarrierAddress, carrierCall } from '../../src/membership/carrier.js';
import { enrol } from '../../src/membership/enrol.js';
import { loadMembership, type Membership } from '../../src/membership/machine-files.js';
import { packBatch } from '../../src/telemetry/batch.js';
import { chainNext, chainStart } from '../../src/telemetry/chain.js';
import { RangeSet } from '../../src/telemetry/ranges.js';
import type { Reading } from '../../src/telemetry/reading.js';

const modules = { clock, random: systemRandom, log: silentLogger };

/** Which customer, and where to knock; default: the mesh's own, at the cloud itself. */
export interface ActorPlace {
  readonly customerId?: string;
  readonly at?: CarrierAddress;
}

/** Keys and certificate of a hub that exists in the test only. */
export async function enrolHub(mesh: LocalMesh, place: ActorPlace = {}): Promise<Membership> {
  const { hub } = await enrolActor(mesh, Role.HUB, place);
  return hub;
}

/** Likewise of a connector, with its own hub. */
export async function enrolConnector(
  mesh: LocalMesh,
  place: ActorPlace = {},
): Promise<{ readonly hub: Membership; readonly connector: Membership }> {
  const { hub, connector } = await enrolActor(mesh, Role.CONNECTOR, place);
  if (!connector) throw new Error('a token for a connector gave none');
  return { hub, connector };
}

async function enrolActor(mesh: LocalMesh, role: Role, { customerId = mesh.customerId, at }: ActorPlace) {
  const { text } = await mesh.client.tokens.createEnrollmentToken({ customerId, role });
  return enrolWith(mesh, text, at);
}

/** With a token's text. Rejects as the program's own enrolment does; waits where the cloud asks to. */
export async function enrolWith(
  mesh: LocalMesh,
  text: string,
  at: CarrierAddress = { address: `127.0.0.1:${mesh.cloudPort}`, role: 'cloud' },
): Promise<{ readonly hub: Membership; readonly connector: Membership | undefined }> {
  const token = parseEnrollmentToken(text);
  const home = await mkdtemp(join(mesh.options.directory, 'actor-'));
  const directories = {
    hub: join(home, 'hub'),
    ...(token.role === Role.CONNECTOR ? { connector: join(home, 'connector') } : {}),
  };
  const info = { hostname: 'actor', os: 'linux', osVersion: '1', arch: 'x64', fingerprint: '', software: 'test' };
  async function* addresses() {
    yield at;
  }
  const trust = new TrustBundle(token.caCertificates);
  const call = carrierCall({ trust, customerId: uuidText(token.customerId), addresses }, modules);
  for (;;) {
    try {
      await enrol({ token, directories, info, now: clock.now() }, call);
      break;
    } catch (thrown) {
      if (!/too many requests/.test(describe(thrown))) throw thrown;
      await sleep(clock, milliseconds(500));
    }
  }
  const hub = await loadMembership(directories.hub, undefined);
  if (!hub) throw new Error('enrolled, but no member');
  const connector =
    directories.connector === undefined ? undefined : await loadMembership(directories.connector, undefined);
  return { hub, connector };
}

/** The stream of a hub's session with whoever listens there, before anything is said. */
export function linkStream(member: Membership, at: CarrierAddress): ByteStream {
  const { certificate, identity: key, trust } = member;
  const { mesh } = certificate.identity;
  // No customer is expected: whether the other side notices is what is tested.
  return openStream(
    LinkServiceService.link,
    { address: at.address, credentials: { certificate, key, trust }, expected: { mesh, role: at.role } },
    modules,
  );
}

interface Flush {
  readonly number: number;
  readonly readings: readonly Reading[];
  readonly chain: Buffer;
}

/** A hub with one log, in memory. */
export class LightHub implements HubMember {
  readonly key: SigningKey;
  readonly machineId: Buffer;
  readonly log = uuid7(systemRandom, clock.now());
  readonly heard: DownMessage['$case'][] = [];
  session: HubSession | undefined;
  #generation = 0;
  #chain = chainStart(this.log);
  #next = 0;
  readonly #waiting = new Map<number, () => void>();
  readonly #acked = new RangeSet();

  constructor(readonly member: Membership) {
    this.key = member.identity;
    this.machineId = uuidBytes(member.certificate.identity.machineId);
  }

  get id(): string {
    return this.member.certificate.identity.machineId;
  }

  /** Resolves when the session is up, or with why it is not. */
  connect(at: CarrierAddress): Promise<Ending | undefined> {
    return this.connectOver(new StreamPipe(linkStream(this.member, at)));
  }

  async connectOver(pipe: Pipe): Promise<Ending | undefined> {
    this.session = new HubSession({
      pipe,
      member: this,
      clock,
      nonce: systemRandom.bytes(32),
      log: silentLogger,
    });
    return this.session.opened;
  }

  /** Measures once, sends it LIVE; resolves when the cloud has it. */
  report(value: number): Promise<void> {
    return this.reportAll([value]);
  }

  /** Likewise, one flush for each value. */
  async reportAll(values: readonly number[]): Promise<void> {
    const { batch, last } = this.batchOf(values);
    const acked = new Promise<void>((resolve) => this.#waiting.set(last, resolve));
    this.session?.sendContent({ $case: 'batch', value: batch }, Lane.LIVE);
    await acked;
  }

  /** A signed batch with one flush for each value. */
  batchOf(values: readonly number[], author: { readonly key: SigningKey } = this) {
    const flushes: Flush[] = values.map((value) => {
      const takenAt = clock.now();
      const reading = { sensor: 1, takenAt, state: 1, message: '', values: [{ name: 'v', unit: '', value }] };
      this.#chain = chainNext(this.#chain, [reading]);
      return { number: this.#next++, readings: [reading], chain: this.#chain };
    });
    const [first, last] = [flushes[0], flushes.at(-1)];
    if (!first || !last) throw new RangeError('no values');
    const content = packBatch({ log: this.log, firstFlush: first.number, chain: last.chain }, flushes);
    return { batch: signContent(author.key, TAGS.BATCH, content), last: last.number };
  }

  async close(): Promise<void> {
    this.session?.close(ending(CloseCode.DONE, 'the test is over'));
    await this.session?.ended;
  }

  hello(): SelfDescription {
    return {
      machineId: this.machineId,
      certificate: this.member.certificate.der,
      bootId: systemRandom.bytes(16),
      generation: this.#generation,
      logs: [],
      configVersion: 0,
      capabilities: [],
      clockMs: clock.now(),
      path: Path.CONNECTOR,
      software: 'test',
      previousEnd: '',
      sealingKeys: [],
    };
  }

  verifyCloud(certificate: Uint8Array): VerifyKey {
    return this.member.trust.verify(certificate, clock.now(), { role: 'cloud' }).key;
  }

  async welcomed({ generation }: Welcome): Promise<void> {
    this.#generation = generation;
  }

  up(): void {}

  received(message: DownMessage): undefined {
    this.heard.push(message.$case);
    if (message.$case !== 'ack') return;
    for (const range of message.value.ranges) this.#acked.add(range);
    for (const [flush, resolve] of this.#waiting) {
      if (!this.#acked.contains({ first: flush, count: 1 })) continue;
      this.#waiting.delete(flush);
      resolve();
    }
  }

  heartbeat() {
    return {
      log: this.#next > 0 ? this.log : new Uint8Array(0),
      next: this.#next,
      queuedReadings: 0,
      queuedAgeMs: 0,
      droppedReadings: 0,
      clockMs: clock.now(),
      backlogBytes: 0,
    };
  }
}

/** A connector's trunk, spoken by hand. */
export class HandTrunk {
  readonly frames: Frame[] = [];
  readonly #stream: ByteStream;
  readonly #channels = new Map<number, (frame: Frame) => void>();
  #look: () => void = () => undefined;

  constructor(connector: Membership, address: string) {
    const { certificate, identity: key, trust } = connector;
    this.#stream = openStream(
      TrunkServiceService.trunk,
      {
        address,
        credentials: { certificate, key, trust },
        expected: { mesh: certificate.identity.mesh, role: 'cloud' },
      },
      modules,
    );
    this.#stream
      .forEach((bytes) => {
        for (const frame of TrunkFrames.decode(bytes).frames) {
          this.frames.push(frame);
          this.#channels.get(frame.channel)?.(frame);
        }
        this.#look();
      })
      .catch(() => undefined);
  }

  /** How the cloud ended it; undefined: with OK. */
  get closed(): ByteStream['closed'] {
    return this.#stream.closed;
  }

  /** Hello, and the cloud's welcome. */
  async greet(): Promise<void> {
    const value = TrunkHello.fromPartial({ version: 1, bootId: systemRandom.bytes(16), software: 'test' });
    this.send({ channel: 0, body: { $case: 'hello', value } });
    await this.frame((frame) => frame.body?.$case === 'welcome');
  }

  send(...frames: Frame[]): void {
    this.#stream.write(TrunkFrames.encode({ frames }).finish());
  }

  sendBytes(bytes: Uint8Array): void {
    this.#stream.write(bytes);
  }

  /** Opens a channel for the holder of this certificate. */
  channel(id: number, certificate: Uint8Array): Pipe {
    this.send({ channel: id, body: { $case: 'open', value: { certificate, address: '192.0.2.1:1' } } });
    return {
      listen: ({ message, closed }) => {
        this.#channels.set(id, ({ body }) => {
          if (body?.$case === 'envelope') message(body.value);
          if (body?.$case === 'close') closed(ending(body.value.code, body.value.message, body.value.retryAfterMs));
        });
        for (const frame of this.frames) if (frame.channel === id) this.#channels.get(id)?.(frame);
      },
      send: (value) => this.send({ channel: id, body: { $case: 'envelope', value } }),
      queuedBytes: 0,
      drained: async () => undefined,
      close: () => this.#channels.delete(id),
    };
  }

  /** The first frame that fits, as soon as it is there. */
  async frame(fits: (frame: Frame) => boolean): Promise<Frame> {
    for (;;) {
      const found = this.frames.find(fits);
      if (found) return found;
      await new Promise<void>((resolve) => {
        this.#look = resolve;
      });
    }
  }

  async end(): Promise<void> {
    this.#stream.end();
    await this.#stream.closed;
  }
}
