// Both ends of a session on a carrier of the test's own: real keys, certificates and signatures; what is behind the ends
// only records.
import { DesiredState, type Heartbeat, type Hello, type Welcome } from '../../../gen/occmesh/link/v1/link.js';
import type { MeshAuthority } from '../../../src/identity/authority.js';
import type { TrustBundle } from '../../../src/identity/certificates.js';
import type { SigningKey, VerifyKey } from '../../../src/identity/keys.js';
import { signContent } from '../../../src/identity/signed.js';
import { TAGS } from '../../../src/identity/tags.js';
import { uuidBytes } from '../../../src/identity/uuid.js';
import { describe as describeError } from '../../../src/kernel/fault.js';
import { silentLogger } from '../../../src/kernel/log.js';
import type { Random } from '../../../src/kernel/random.js';
import { type Admission, type CloudHost, CloudSession } from '../../../src/link/cloud-session.js';
import type { DownMessage, UpMessage } from '../../../src/link/envelope.js';
import { LinkFault } from '../../../src/link/fault.js';
import { type HubMember, HubSession, type SelfDescription } from '../../../src/link/hub-session.js';
import type { Speaks } from '../../../src/link/negotiation.js';
import type { Ending } from '../../../src/link/pipe.js';
import { FakeClock } from '../../support/fake-clock.js';
import { MemoryCarrier } from '../../support/memory-pipe.js';
import { CLOUD, CONNECTOR, HUB, type Member, member, newAuthority, OTHER_MACHINE } from '../identity/fixtures.js';

export interface Cast {
  readonly authority: MeshAuthority;
  readonly trust: TrustBundle;
  readonly cloud: Member;
  readonly hub: Member;
  readonly otherHub: Member;
  readonly connector: Member;
  /** A cloud node of another mesh. */
  readonly foreignCloud: Member;
}

export async function cast(): Promise<Cast> {
  const authority = await newAuthority();
  const foreign = await newAuthority('other.example');
  return {
    authority,
    trust: authority.bundle,
    cloud: await member(authority, CLOUD),
    hub: await member(authority, HUB),
    otherHub: await member(authority, { ...HUB, machineId: OTHER_MACHINE }),
    connector: await member(authority, CONNECTOR),
    foreignCloud: await member(foreign, { ...CLOUD, mesh: 'other.example' }),
  };
}

export const HEARTBEAT_MS = 10_000;

export class RecordingMember implements HubMember {
  readonly key: SigningKey;
  readonly received_: DownMessage[] = [];
  readonly welcomes: Welcome[] = [];
  isUp = false;
  capabilities: number[] = [];
  /** Awaited before the session is up. */
  whileWelcomed: Promise<void> = Promise.resolve();
  handle: (message: DownMessage) => Promise<void> | undefined = () => undefined;

  constructor(
    private readonly identity: Member,
    private readonly trust: TrustBundle,
    private readonly clock: FakeClock,
  ) {
    this.key = identity.key;
  }

  hello(): SelfDescription {
    const { certificate } = this.identity;
    return {
      machineId: uuidBytes(certificate.identity.machineId),
      certificate: certificate.der,
      bootId: Buffer.alloc(16, 1),
      generation: 0,
      logs: [],
      configVersion: 0,
      capabilities: this.capabilities,
      clockMs: this.clock.now(),
      path: 1,
      software: 'test',
      previousEnd: '',
      sealingKeys: [],
    };
  }

  verifyCloud(certificate: Uint8Array): VerifyKey {
    try {
      return this.trust.verify(certificate, this.clock.now(), { role: 'cloud' }).key;
    } catch (cause) {
      throw new LinkFault('link.unauthentic', describeError(cause), { cause });
    }
  }

  async welcomed(welcome: Welcome): Promise<void> {
    await this.whileWelcomed;
    this.welcomes.push(welcome);
  }

  up(): void {
    this.isUp = true;
  }

  received(message: DownMessage): Promise<void> | undefined {
    this.received_.push(message);
    return this.handle(message);
  }

  heartbeat(): Omit<Heartbeat, 'number'> {
    return {
      log: new Uint8Array(0),
      next: 0,
      queuedReadings: 0,
      queuedAgeMs: 0,
      droppedReadings: 0,
      clockMs: this.clock.now(),
      backlogBytes: 0,
    };
  }
}

export class RecordingHost implements CloudHost {
  readonly key: SigningKey;
  readonly certificate: Buffer;
  readonly hellos: Hello[] = [];
  readonly received_: UpMessage[] = [];
  readonly endings: Ending[] = [];
  isUp = false;
  answersHeartbeats = true;
  admission: () => Promise<Admission> = async () => ({
    welcome: {
      generation: 1,
      holdings: [],
      liveWindow: 1,
      configVersion: 0,
      clockMs: 0,
      revokedKeys: [],
      heartbeatMs: HEARTBEAT_MS,
      quarantined: false,
      software: 'test',
    },
  });

  constructor(
    identity: Member,
    private readonly peer: Member,
    private readonly trust: TrustBundle,
    private readonly clock: FakeClock,
  ) {
    this.key = identity.key;
    this.certificate = identity.certificate.der;
  }

  verifyHub(hello: Hello): VerifyKey {
    const { identity, key } = this.trust.verify(hello.certificate, this.clock.now(), { role: 'hub' });
    if (identity.machineId !== this.peer.certificate.identity.machineId) throw new LinkFault('link.refused', 'not it');
    return key;
  }

  async admit(_session: CloudSession, hello: Hello): Promise<Admission> {
    this.hellos.push(hello);
    return this.admission();
  }

  up(): void {
    this.isUp = true;
  }

  received(session: CloudSession, message: UpMessage): undefined {
    this.received_.push(message);
    if (message.$case === 'heartbeat' && this.answersHeartbeats) {
      session.send({ $case: 'heartbeatAnswer', value: { number: message.value.number, clockMs: 0 } });
    }
    return undefined;
  }

  failed(): void {}

  ended(_session: CloudSession, why: Ending): void {
    this.endings.push(why);
  }
}

export interface Link {
  readonly carrier: MemoryCarrier;
  readonly member: RecordingMember;
  readonly host: RecordingHost;
  readonly hub: HubSession;
  readonly cloud: CloudSession;
  readonly clock: FakeClock;
}

export interface LinkOptions {
  readonly random: Random;
  readonly carrier?: MemoryCarrier;
  readonly clock?: FakeClock;
  /** Who signs on the cloud's side. */
  readonly signer?: Member;
  readonly hub?: Member;
  readonly trustedByHub?: TrustBundle;
  /** What each side speaks; default: what this release does. */
  readonly speaks?: { readonly cloud?: Speaks; readonly hub?: Speaks };
}

/** Both ends, connected; the handshake has not begun before the first microtask. */
export function connect(who: Cast, options: LinkOptions): Link {
  const { random, carrier = new MemoryCarrier(), clock = new FakeClock(), signer = who.cloud, hub = who.hub } = options;
  const { cloud: spokenByCloud, hub: spokenByHub } = options.speaks ?? {};
  const member = new RecordingMember(hub, options.trustedByHub ?? who.trust, clock);
  member.capabilities = [...(spokenByHub?.capabilities ?? [])];
  const host = new RecordingHost(signer, hub, who.trust, clock);
  return {
    carrier,
    member,
    host,
    clock,
    hub: new HubSession({
      ...{ pipe: carrier.hub, member, clock, nonce: random.bytes(32), log: silentLogger },
      ...(spokenByHub && { versions: spokenByHub.versions }),
    }),
    cloud: new CloudSession({
      ...{ pipe: carrier.cloud, host, clock, random },
      ...(spokenByCloud && { speaks: spokenByCloud }),
    }),
  };
}

export function desiredState(who: Cast, version: number) {
  const content = DesiredState.encode(
    DesiredState.fromPartial({ machineId: uuidBytes(who.hub.certificate.identity.machineId), version }),
  ).finish();
  return {
    signed: signContent(who.cloud.key, TAGS.DESIRED_STATE, content),
    certificate: who.cloud.certificate.der,
  };
}

/** Changes one bit at `at`, or of the last byte: signatures are of different lengths. */
export function flipOneBit(bytes: Uint8Array, at: number, random: Random): void {
  const index = Math.min(at, bytes.length - 1);
  bytes[index] = (bytes[index] ?? 0) ^ (1 << Math.floor(random.uniform() * 8));
}
