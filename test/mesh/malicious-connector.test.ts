// A connector whose operator is evil: it can delay and drop, and nothing else. What it alters, invents or plays again is
// not accepted by anybody, and what it kept back is delivered as soon as there is an honest way.
//
// Found so far: nothing.
import { expect } from 'chai';
import {
  Ack,
  type DesiredState,
  DesiredState as DesiredStateMessage,
  Lane,
  Outcome,
  SignedByCloud,
  Welcome,
} from '../../gen/occmesh/link/v1/link.js';
import { type Machine, MachineState, Path } from '../../src/client/index.js';
import type { HubProcess } from '../../src/demo/mesh.js';
import { until } from '../../src/demo/processes.js';
import { signContent } from '../../src/identity/signed.js';
import { TAGS } from '../../src/identity/tags.js';
import { sleep, systemClock } from '../../src/kernel/clock.js';
import { milliseconds, seconds } from '../../src/kernel/duration.js';
import {
  bareEnvelope,
  type DownMessage,
  decodeDown,
  decodeEnvelope,
  decodeUp,
  encodeDown,
  frameEnvelope,
  signedEnvelope,
} from '../../src/link/envelope.js';
import { FrameSealer, SessionKeyPair } from '../../src/link/frames.js';
import { sessionId, welcomeInput } from '../../src/link/handshake.js';
import { type Carried, EvilConnector } from '../support/evil-connector.js';
import { flaws, PERFECT, RoughMesh } from '../support/rough-mesh.js';
import { testSeed } from '../support/seeded-random.js';

describe('a malicious connector', function () {
  this.timeout(120_000);
  let rough: RoughMesh;
  let evil: EvilConnector;

  before(async () => {
    rough = await RoughMesh.start({ hubs: 2, sensors: 20, hubArgs: ['--no-direct'] });
    await rough.mesh.connector.stop();
    evil = await EvilConnector.start(rough.mesh);
    await untilCarried(0);
  });
  afterEach(() => {
    evil.mischief = {};
  });
  after(async () => {
    await evil?.stop();
    await rough?.[Symbol.asyncDispose]();
  });

  /** Until every hub has had a session over the evil one since `from`, and is up again. */
  async function untilCarried(from: number): Promise<void> {
    await until(
      async () => {
        const machines = await rough.mesh.machines();
        return rough.hubs.every(({ machineId }) => {
          const carried = evil.sessions.slice(from).some(({ hub }) => hub === machineId);
          return carried && machines.some(({ id, state }) => id === machineId && state === MachineState.ONLINE);
        });
      },
      seconds(30),
      systemClock,
      () => rough.tails(),
    );
  }

  /** Hubs that have been deceived wait longer and longer before they try again; these begin anew. */
  async function startAnew(): Promise<void> {
    await Promise.all(rough.hubs.map(({ process }) => process.kill()));
    for (const { process } of rough.hubs) process.start();
  }

  /** From here on it is honest: everything arrives, and nothing has changed. */
  async function reformed(): Promise<void> {
    evil.mischief = {};
    await startAnew();
    expect(flaws(await rough.settled())).to.deep.equal(PERFECT);
  }

  const facts = ({ configVersion, runningVersion, configError, quarantined }: Machine) => ({
    configVersion,
    runningVersion,
    configError,
    quarantined,
  });
  const allFacts = () =>
    Promise.all(rough.hubs.map(async ({ machineId }) => facts(await rough.mesh.machine(machineId))));

  /** What the hubs themselves said when they ended a session. */
  async function refusals(hub: HubProcess): Promise<string[]> {
    const lines = (await hub.process.log()).split('\n').filter((line) => line.includes('session ended by this hub'));
    return lines.map((line) => (JSON.parse(line) as { cause: string }).cause);
  }

  const refusedBefore = () => Promise.all(rough.hubs.map(async (hub) => (await refusals(hub)).length));
  async function refusedSince(before: readonly number[]): Promise<string[]> {
    const all = await Promise.all(rough.hubs.map(refusals));
    return all.flatMap((causes, n) => causes.slice(before[n] ?? 0));
  }

  it(`that drops, reorders, repeats, delays and flips bits loses and doubles nothing (TEST_SEED=${testSeed})`, async () => {
    const before = await allFacts();
    const done = { drop: 0, reorder: 0, repeat: 0, delay: 0, flip: 0 };
    const { random } = rough;
    const held = new Map<string, Uint8Array>();
    let seen = 0;
    const disturb = (envelope: Uint8Array, key: string, pass: (bytes: Uint8Array) => void): void => {
      seen += 1;
      const bytes = Uint8Array.from(envelope);
      const kept = held.get(key);
      held.delete(key);
      const choice = random.uniform();
      if (choice < 0.03) done.drop += 1;
      else if (choice < 0.06) {
        done.reorder += 1;
        held.set(key, bytes);
      } else if (choice < 0.1) {
        done.repeat += 1;
        pass(bytes);
        pass(bytes);
      } else if (choice < 0.14) {
        done.delay += 1;
        systemClock.after(milliseconds(random.uniform() * 1_000), () => pass(bytes));
      } else if (choice < 0.18) {
        done.flip += 1;
        const at = Math.floor(random.uniform() * bytes.length);
        bytes[at] = (bytes[at] ?? 0) ^ (1 << Math.floor(random.uniform() * 8));
        pass(bytes);
      } else pass(bytes);
      if (kept) pass(kept);
    };
    evil.mischief = {
      up: (envelope, session) => disturb(envelope, `${session.hub} up`, session.toCloud),
      down: (envelope, session) => disturb(envelope, `${session.hub} down`, session.toHub),
    };
    for (let round = 0; round < 12 && Object.values(done).some((count) => count < 2); round++) {
      const enough = seen + 20;
      await startAnew();
      // A session that has been disturbed ends, and its hub waits: then there is nothing more to be had from this round.
      const over = systemClock.monotonic() + seconds(5);
      while (seen < enough && systemClock.monotonic() < over) await sleep(systemClock, milliseconds(100));
    }
    expect(
      Object.values(done).every((count) => count > 0),
      JSON.stringify(done),
    ).to.equal(true);
    await reformed();
    expect(await allFacts()).to.deep.equal(before);
  });

  it('that forges what the cloud says is not believed by any hub', async () => {
    const before = await allFacts();
    const { identity: key, certificate } = evil.membership;
    const wanted = DesiredStateMessage.fromPartial({ version: 1_000_000, sensors: [], directAllowed: true });
    const desired = (machineId: Uint8Array): DesiredState => ({ ...wanted, machineId });
    type Forgery = (session: Carried, heard: { log: Uint8Array; next: number; machineId: Uint8Array }) => void;
    const framed =
      (message: DownMessage, counter?: number): Forgery =>
      (session) => {
        // Under the right session id, for the hub's own session key, and with the next number: but with another key than
        // that of the Welcome.
        const [challenge, hello] = [session.downs[0], session.ups[0]];
        if (!challenge || !hello) return;
        const said = decodeUp(decodeEnvelope(hello).payload);
        if (said.$case !== 'hello') return;
        const id = sessionId(decodeEnvelope(challenge).payload, decodeEnvelope(hello).payload);
        const keys = new SessionKeyPair().agree(said.value.sessionKey, id);
        const payload = encodeDown(message);
        const due = 1 + session.downs.filter((bytes) => decodeEnvelope(bytes).counter > 0).length;
        session.toHub(frameEnvelope(payload, counter ?? due, new FrameSealer(keys.D, due - 1).seal(payload).mac));
      };
    const ackOfAll: Forgery = (session, { log, next }) => {
      const ack = Ack.fromPartial({ log, ranges: [{ first: 0, count: next }] });
      framed({ $case: 'ack', value: ack })(session, { log, next, machineId: log });
    };
    const forgeries: { readonly [name: string]: Forgery } = {
      ack: ackOfAll,
      'unsigned ack': (session, { log, next }) => {
        const value = Ack.fromPartial({ log, ranges: [{ first: 0, count: next }] });
        session.toHub(bareEnvelope(Lane.CONTROL, encodeDown({ $case: 'ack', value })));
      },
      credit: framed({ $case: 'credit', value: { backfillBytes: 1 << 30 } }),
      command: framed({ $case: 'command', value: { id: 1, action: { $case: 'runSensor', value: { sensor: 2 } } } }),
      'command with a number already used': framed(
        { $case: 'command', value: { id: 1, action: { $case: 'runSensor', value: { sensor: 2 } } } },
        1,
      ),
      advice: framed({ $case: 'advice', value: { reconnectWithinMs: 1, returnToConnector: true } }),
      'desired state': (session, { machineId }) => {
        const content = DesiredStateMessage.encode(desired(machineId)).finish();
        const value = { signed: signContent(key, TAGS.DESIRED_STATE, content), certificate: certificate.der };
        session.toHub(bareEnvelope(Lane.CONTROL, encodeDown({ $case: 'desiredState', value })));
      },
      'desired state with the certificate of the cloud': (session, { machineId }) => {
        const welcome = session.downs.map((bytes) => decodeDown(decodeEnvelope(bytes).payload)).find(isWelcome);
        if (!welcome) return;
        const content = DesiredStateMessage.encode(desired(machineId)).finish();
        const signed = signContent(key, TAGS.DESIRED_STATE, content);
        const value = SignedByCloud.fromPartial({ signed, certificate: welcome.value.certificate });
        session.toHub(bareEnvelope(Lane.CONTROL, encodeDown({ $case: 'desiredState', value })));
      },
    };
    const names = Object.keys(forgeries);
    const tried: string[] = [];
    const forged = new Set<Carried>();
    const machineIds = new Map<string, Uint8Array>();
    evil.mischief = {
      up: (envelope, session) => {
        const message = decodeUp(decodeEnvelope(envelope).payload);
        if (message.$case === 'hello') machineIds.set(session.hub, Uint8Array.from(message.value.machineId));
        // The cloud does not get them: whoever believes a forged acknowledgement loses them.
        if (message.$case !== 'batch') session.toCloud(envelope);
        if (message.$case !== 'heartbeat' || message.value.next === 0 || forged.has(session)) return;
        const name = names[tried.length % names.length] ?? '';
        forged.add(session);
        tried.push(name);
        const { log, next } = message.value;
        const heard = { log: Uint8Array.from(log), next, machineId: machineIds.get(session.hub) ?? log };
        forgeries[name]?.(session, heard);
      },
    };
    const refused = await refusedBefore();
    for (let round = 0; round < 12 && tried.length < names.length; round++) {
      const from = tried.length;
      await startAnew();
      await until(
        async () => tried.length >= from + rough.hubs.length,
        seconds(20),
        systemClock,
        () => rough.tails(),
      );
    }
    await until(
      async () => (await refusedSince(refused)).length >= names.length,
      seconds(10),
      systemClock,
      async () => `tried ${tried}; ${await rough.tails()}`,
    );
    for (const cause of await refusedSince(refused)) {
      expect(cause).to.match(
        /does not verify|where \d+ was due|no cloud node of this mesh|that of a connector, not of a cloud/,
      );
    }
    await reformed();
    expect(await allFacts()).to.deep.equal(before);
  });

  it('that plays whole recorded sessions again, to the cloud and to hubs, gets nothing out of it', async () => {
    const before = await allFacts();
    const [one, other] = rough.hubs.map(({ machineId }) =>
      evil.sessions.filter(({ hub, ups }) => hub === machineId && ups.length > 3).at(-1),
    );
    if (!one || !other) throw new Error('no sessions to play again');
    const told: Promise<string>[] = [];
    // With the certificate that it belongs to, and with that of another hub.
    for (const [recorded, certificate] of [
      [one, one.certificate],
      [other, other.certificate],
      [one, other.certificate],
    ] as const) {
      told.push(
        new Promise((resolve) => {
          const answers: Uint8Array[] = [];
          const channel = evil.open(certificate, {
            envelope: (bytes) => answers.push(bytes),
            closed: (why) => resolve(`${answers.length}: ${why.message}`),
          });
          for (const envelope of recorded.ups) channel.send(envelope, Lane.CONTROL);
        }),
      );
    }
    // Nothing but the Challenge came back, and the hubs' own sessions were not disturbed.
    const sessions = evil.sessions.length;
    for (const answer of await Promise.all(told)) {
      expect(answer).to.match(/^1: (the signature of Hello does not verify|Hello speaks for another machine)/);
    }
    expect(evil.sessions.length).to.equal(sessions);

    // Content that was signed for good, once more in the session of today: the same, so nothing happens.
    const batches = one.ups.filter((bytes) => decodeUp(decodeEnvelope(bytes).payload).$case === 'batch');
    expect(batches).to.not.deep.equal([]);
    const again = new Set<Carried>();
    let replayed = 0;
    evil.mischief = {
      up: (envelope, session) => {
        session.toCloud(envelope);
        if (again.has(session) || decodeUp(decodeEnvelope(envelope).payload).$case !== 'heartbeat') return;
        again.add(session);
        // To the session of the other hub as well, which it ends.
        for (const batch of batches) session.toCloud(batch);
        replayed += batches.length;
      },
    };
    await startAnew();
    await until(
      async () => again.size >= 2,
      seconds(30),
      systemClock,
      () => rough.tails(),
    );
    expect(replayed).to.be.greaterThan(0);

    // A hub that is told a recorded session instead of the cloud's words.
    const refused = await refusedBefore();
    evil.mischief = {
      opened: (session) => {
        const recorded = evil.sessions.find(({ hub, downs }) => hub === session.hub && downs.length > 3);
        for (const envelope of recorded?.downs ?? []) session.toHub(envelope);
      },
      up: () => undefined,
      down: () => undefined,
    };
    await startAnew();
    await until(
      async () => (await refusedSince(refused)).length >= rough.hubs.length,
      seconds(40),
      systemClock,
      () => rough.tails(),
    );
    expect((await refusedSince(refused)).at(-1)).to.match(/the welcome is not signed by a cloud/);
    await reformed();
    expect(await allFacts()).to.deep.equal(before);
  });

  it('that plays the cloud is left: for the internet where that is allowed, else for later', async () => {
    const free = await rough.addHub('free', 5, []);
    const before = (await rough.mesh.machine(free.machineId)).configVersion;
    const { identity: key, certificate } = evil.membership;
    let played = 0;
    // It lets the Challenge through and keeps the Hello to itself.
    evil.mischief = {
      up: (envelope, session) => {
        const { payload } = decodeEnvelope(envelope);
        if (decodeUp(payload).$case !== 'hello') return;
        played += 1;
        const challenge = decodeEnvelope(session.downs[0] ?? new Uint8Array()).payload;
        const value = Welcome.fromPartial({
          // Its own, and, every other time, one that is a cloud node's, with a signature that is not.
          certificate: played % 2 === 0 ? certificate.der : cloudCertificate(evil.sessions),
          generation: 1,
          liveWindow: 1 << 20,
          heartbeatMs: 1_000,
          sessionKey: new SessionKeyPair().publicKey,
        });
        const welcome = encodeDown({ $case: 'welcome', value });
        session.toHub(signedEnvelope(welcome, key.sign(welcomeInput(challenge, payload, welcome))));
      },
    };
    await startAnew();
    await until(
      async () => {
        const { state, path } = await rough.mesh.machine(free.machineId);
        return state === MachineState.ONLINE && path === Path.DIRECT;
      },
      seconds(30),
      systemClock,
      () => rough.tails(),
    );
    await until(
      async () => played >= 4,
      seconds(30),
      systemClock,
      () => rough.tails(),
    );
    await reformed();
    expect((await rough.mesh.machine(free.machineId)).configVersion).to.equal(before);
    // The hubs do what the cloud says, and nobody else: a command of an operator still arrives.
    const [hub] = rough.hubs;
    const { sensors } = await rough.mesh.client.sensors.listSensors({ machineId: hub?.machineId ?? '' });
    await sleep(systemClock, seconds(1));
    const result = await rough.mesh.client.sensors.runSensor({ id: sensors[0]?.id ?? '' });
    expect(result.outcome).to.equal(Outcome.DONE);
    rough.passed();
  });
});

const isWelcome = (message: DownMessage): message is Extract<DownMessage, { $case: 'welcome' }> =>
  message.$case === 'welcome';

function cloudCertificate(sessions: readonly Carried[]): Uint8Array {
  for (const { downs } of sessions) {
    for (const bytes of downs) {
      const message = decodeDown(decodeEnvelope(bytes).payload);
      if (isWelcome(message)) return Uint8Array.from(message.value.certificate);
    }
  }
  throw new Error('no welcome was ever seen');
}
