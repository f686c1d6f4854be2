// How a session begins, and every way in which a carrier may try to begin another one.
import { createHash, createHmac, createPublicKey, diffieHellman, generateKeyPairSync, hkdfSync } from 'node:crypto';
import { expect } from 'chai';
import { Envelope, type Hello, LinkDown, LinkUp, Welcome } from '../../../gen/occmesh/link/v1/link.js';
import { CloseCode } from '../../../gen/occmesh/trunk/v1/trunk.js';
import { MeshCertificate } from '../../../src/identity/certificates.js';
import { seconds } from '../../../src/kernel/duration.js';
import { IllegalTransition, StateMachine } from '../../../src/kernel/machine.js';
import { CLOUD_SESSION_EDGES, CloudSession } from '../../../src/link/cloud-session.js';
import { encodeDown, encodeUp, frameEnvelope, MAX_ENVELOPE_BYTES, signedEnvelope } from '../../../src/link/envelope.js';
import { FrameSealer, SessionKeyPair } from '../../../src/link/frames.js';
import { helloInput, sessionId, welcomeInput } from '../../../src/link/handshake.js';
import { HUB_SESSION_EDGES } from '../../../src/link/hub-session.js';
import { ending } from '../../../src/link/pipe.js';
import { FakeClock, settle } from '../../support/fake-clock.js';
import { MemoryCarrier } from '../../support/memory-pipe.js';
import { seededRandom, testSeed } from '../../support/seeded-random.js';
import type { Member } from '../identity/fixtures.js';
import { type Cast, cast, connect, flipOneBit, HEARTBEAT_MS, type Link, RecordingHost } from './fixtures.js';

describe(`link: handshake (seed ${testSeed})`, () => {
  let who: Cast;
  before(async () => {
    who = await cast();
  });
  const random = seededRandom(testSeed);

  /** The payloads of the first messages of a session. */
  const handshakeOf = ({ carrier }: Link) => {
    const [challenge, welcome] = carrier.of('down').map((bytes) => Envelope.decode(bytes));
    const [hello] = carrier.of('up').map((bytes) => Envelope.decode(bytes));
    if (!challenge || !welcome || !hello) throw new Error('there was no handshake');
    return { challenge, hello, welcome };
  };

  const expectRefusedByHub = (link: Link, code: CloseCode) => {
    expect(link.hub.state).to.equal('ended');
    expect(link.member.isUp).to.equal(false);
    expect(link.member.welcomes).to.have.length(0);
    expect(link.carrier.endings.cloud?.code).to.equal(code);
    expect(link.clock.armed, 'timers').to.equal(0);
  };

  const expectRefusedByCloud = (link: Link, code: CloseCode) => {
    expect(link.cloud.state).to.equal('ended');
    expect(link.host.isUp).to.equal(false);
    expect(link.host.hellos).to.have.length(0);
    expect(link.carrier.endings.hub?.code).to.equal(code);
  };

  it('brings both ends up, after which frames go both ways', async () => {
    const link = connect(who, { random });
    await settle();
    expect([link.hub.state, link.cloud.state]).to.deep.equal(['up', 'up']);
    link.cloud.send({ $case: 'credit', value: { backfillBytes: 7 } });
    link.hub.send({ $case: 'bye', value: { reason: 1 } });
    await settle();
    expect(link.member.received_.map(({ $case }) => $case)).to.deep.equal(['heartbeatAnswer', 'credit']);
    expect(link.host.received_.map(({ $case }) => $case)).to.deep.equal(['heartbeat', 'bye']);
    expect(await link.hub.opened).to.equal(undefined);
    link.hub.close(ending(CloseCode.DONE, 'the end'));
    await settle();
    expect(link.host.endings.map(({ code }) => code)).to.deep.equal([CloseCode.DONE]);
    expect(link.clock.armed).to.equal(0);
  });

  it('signs and hashes what the contract says, byte for byte', async () => {
    const link = connect(who, { random });
    const other = connect(who, { random });
    await settle();
    const { challenge, hello, welcome } = handshakeOf(link);
    const length = (part: Uint8Array) => Buffer.from([0, 0, part.length >> 8, part.length & 0xff]);
    const input = Buffer.concat([
      Buffer.from('occ-mesh/link/hello/v1\0'),
      length(challenge.payload),
      challenge.payload,
      length(hello.payload),
      hello.payload,
    ]);
    expect(who.hub.key.publicKey.verify(input, hello.signature)).to.equal(true);
    const transcript = Buffer.concat([
      Buffer.from('occ-mesh/link/welcome/v1\0'),
      ...[challenge, hello, welcome].flatMap(({ payload }) => [length(payload), payload]),
    ]);
    expect(who.cloud.key.publicKey.verify(transcript, welcome.signature)).to.equal(true);
    const session = createHash('sha256')
      .update(Buffer.concat([Buffer.from('occ-mesh/link/session/v1\0'), challenge.payload, hello.payload]))
      .digest();
    expect(sessionId(challenge.payload, hello.payload).equals(session)).to.equal(true);
    const beat = Envelope.decode(link.carrier.of('up')[1] ?? new Uint8Array(0));
    expect([beat.counter, beat.mac.length, beat.signature.length]).to.deep.equal([1, 16, 0]);
    const keyOf = ({ payload }: Envelope) => {
      const message = LinkUp.decode(payload).message ?? LinkDown.decode(payload).message;
      return message?.$case === 'hello' ? message.value.sessionKey : new Uint8Array(0);
    };
    expect(keyOf(hello)).to.have.length(32);
    expect(keyOf(hello)).not.to.deep.equal(keyOf(handshakeOf(other).hello));
    link.carrier.cut();
    other.carrier.cut();
  });

  it('agrees on keys for frames as the contract says, byte for byte', () => {
    const [ours, theirs] = [new SessionKeyPair(), generateKeyPairSync('x25519')];
    const session = Buffer.alloc(32, 5);
    const raw = Buffer.from(theirs.publicKey.export({ format: 'jwk' }).x ?? '', 'base64url');
    const x = ours.publicKey.toString('base64url');
    const publicKey = createPublicKey({ key: { kty: 'OKP', crv: 'X25519', x }, format: 'jwk' });
    const secret = diffieHellman({ privateKey: theirs.privateKey, publicKey });
    const keys = ours.agree(raw, session);
    // Kept for each session of a cloud.
    expect([keys.U.buffer.byteLength, keys.D.buffer === keys.U.buffer]).to.deep.equal([64, true]);
    for (const direction of ['U', 'D'] as const) {
      const info = Buffer.from(`occ-mesh/link/frame/v1\0${direction}`);
      const key = Buffer.from(hkdfSync('sha256', secret, session, info, 32));
      expect(keys[direction].equals(key)).to.equal(true);
      const payload = Buffer.from('payload');
      const mac = createHmac('sha256', key)
        .update(Buffer.concat([Buffer.from([0, 0, 0, 0, 0, 0, 0, 1]), payload]))
        .digest();
      expect(new FrameSealer(keys[direction]).seal(payload)).to.deep.equal({ counter: 1, mac: mac.subarray(0, 16) });
    }
  });

  it('agrees on nothing with a key that everybody could have: of low order, or none at all', async () => {
    const ONE = Buffer.concat([Buffer.of(1), Buffer.alloc(31)]);
    for (const key of [Buffer.alloc(32), ONE, Buffer.alloc(31, 9), Buffer.alloc(0)]) {
      expect(() => new SessionKeyPair().agree(key, Buffer.alloc(32)), key.toString('hex')).to.throw(/session key/);
    }
  });

  describe('Welcome', () => {
    const impostors: readonly (readonly [string, () => Member])[] = [
      ['a hub', () => who.otherHub],
      ['the hub itself', () => who.hub],
      ['a connector', () => who.connector],
      ['the cloud of another mesh', () => who.foreignCloud],
    ];
    for (const [name, signer] of impostors) {
      it(`signed by ${name} is refused`, async () => {
        const link = connect(who, { random, signer: signer() });
        await settle();
        expectRefusedByHub(link, CloseCode.UNAUTHENTIC);
      });

      it(`signed by ${name} would do for a hub that does not verify (negative control)`, async () => {
        const link = connect(who, { random, signer: signer() });
        link.member.verifyCloud = (certificate) => MeshCertificate.parse(certificate).key;
        await settle();
        expect(link.hub.state).to.equal('up');
        link.carrier.cut();
        await settle();
      });
    }

    it("with the cloud's certificate and somebody else's signature is refused", async () => {
      const link = connect(who, { random, signer: { ...who.connector, certificate: who.cloud.certificate } });
      await settle();
      expectRefusedByHub(link, CloseCode.UNAUTHENTIC);
    });

    it('of a recorded session is refused', async () => {
      const recorded = connect(who, { random });
      await settle();
      const old = recorded.carrier.of('down')[1] ?? new Uint8Array(0);
      recorded.carrier.cut();
      const link = connect(who, {
        random,
        carrier: new MemoryCarrier(({ direction, number, bytes }) => [
          direction === 'down' && number === 1 ? old : bytes,
        ]),
      });
      await settle();
      expectRefusedByHub(link, CloseCode.UNAUTHENTIC);
    });

    it('of a recorded session is refused together with its challenge, too', async () => {
      const recorded = connect(who, { random });
      await settle();
      const old = recorded.carrier.of('down');
      recorded.carrier.cut();
      const link = connect(who, {
        random,
        carrier: new MemoryCarrier(({ direction, number, bytes }) => [
          direction === 'down' ? (old[number] ?? bytes) : bytes,
        ]),
      });
      // The Hello for the old challenge does not do for the new one: the cloud would end it. Let it not come at all.
      const pass = link.carrier.hook;
      link.carrier.hook = (message) => {
        if (message.direction === 'down') return pass(message);
        link.carrier.inject('down', old[1] ?? new Uint8Array(0));
        return [];
      };
      await settle();
      expectRefusedByHub(link, CloseCode.UNAUTHENTIC);
    });

    it('for another hub is refused, when a carrier swaps two sessions', async () => {
      const carriers = [new MemoryCarrier(), new MemoryCarrier()] as const;
      const welcomes: Uint8Array[] = [];
      const hold = (at: number) => {
        const carrier = carriers[at];
        if (!carrier) return;
        carrier.hook = ({ direction, number, bytes }) => {
          if (direction !== 'down' || number !== 1) return [bytes];
          welcomes[at] = bytes;
          return [];
        };
      };
      hold(0);
      hold(1);
      const links = [
        connect(who, { random, carrier: carriers[0] }),
        connect(who, { random, carrier: carriers[1], hub: who.otherHub }),
      ];
      await settle();
      carriers[0].inject('down', welcomes[1] ?? new Uint8Array(0));
      carriers[1].inject('down', welcomes[0] ?? new Uint8Array(0));
      await settle();
      for (const link of links) expectRefusedByHub(link, CloseCode.UNAUTHENTIC);
    });

    it('changed in any byte is refused', async () => {
      const sample = connect(who, { random });
      await settle();
      const { length } = sample.carrier.of('down')[1] ?? new Uint8Array(0);
      sample.carrier.cut();
      let ups = 0;
      for (let at = 0; at < length; at += 1 + Math.floor(random.uniform() * 24)) {
        const link = connect(who, {
          random,
          carrier: new MemoryCarrier(({ direction, number, bytes }) => {
            if (direction === 'down' && number === 1) flipOneBit(bytes, at, random);
            return [bytes];
          }),
        });
        await settle();
        // Bytes 0 and 1 are the lane, which is not signed: it is only about the order of sending.
        if (at > 1) expect(link.member.welcomes, `byte ${at}`).to.have.length(0);
        else ups += link.member.isUp ? 1 : 0;
        link.carrier.cut();
        await settle();
      }
      expect(ups, 'the lane is not signed').to.be.at.most(2);
    });

    it('that names a log, a generation or a window of the carrier’s choice is refused', async () => {
      const link = connect(who, {
        random,
        carrier: new MemoryCarrier(({ direction, number, bytes }) => {
          if (direction !== 'down' || number !== 1) return [bytes];
          const envelope = Envelope.decode(bytes);
          const { message } = LinkDown.decode(envelope.payload);
          if (message?.$case !== 'welcome') return [bytes];
          const value = Welcome.fromPartial({ ...message.value, generation: 99 });
          return [signedEnvelope(encodeDown({ $case: 'welcome', value }), envelope.signature)];
        }),
      });
      await settle();
      expectRefusedByHub(link, CloseCode.UNAUTHENTIC);
    });

    it('is not taken twice', async () => {
      const link = connect(who, {
        random,
        carrier: new MemoryCarrier(({ direction, number, bytes }) =>
          direction === 'down' && number === 1 ? [bytes, bytes] : [bytes],
        ),
      });
      await settle();
      expect(link.member.welcomes).to.have.length(1);
      expect(link.carrier.endings.cloud?.code).to.equal(CloseCode.PROTOCOL);
    });
  });

  describe('Hello', () => {
    const altered = (change: (hello: Hello) => Hello, signer?: () => Member) =>
      new MemoryCarrier(({ direction, number, bytes }) => {
        if (direction !== 'up' || number !== 0) return [bytes];
        const envelope = Envelope.decode(bytes);
        const { message } = LinkUp.decode(envelope.payload);
        if (message?.$case !== 'hello') return [bytes];
        const payload = encodeUp({ $case: 'hello', value: change(message.value) });
        if (!signer) return [signedEnvelope(payload, envelope.signature)];
        const challenge = Envelope.decode(carrierOf.of('down')[0] ?? new Uint8Array(0)).payload;
        return [signedEnvelope(payload, signer().key.sign(helloInput(challenge, payload)))];
      });
    let carrierOf = new MemoryCarrier();
    const attempt = async (carrier: MemoryCarrier): Promise<Link> => {
      carrierOf = carrier;
      const link = connect(who, { random, carrier });
      await settle();
      return link;
    };

    it('changed by the carrier is refused', async () => {
      const link = await attempt(altered((hello) => ({ ...hello, generation: 12 })));
      expectRefusedByCloud(link, CloseCode.UNAUTHENTIC);
    });

    it('signed by another machine is refused', async () => {
      const link = await attempt(
        altered(
          (hello) => hello,
          () => who.connector,
        ),
      );
      expectRefusedByCloud(link, CloseCode.UNAUTHENTIC);
    });

    it("of another hub on this hub's connection is refused", async () => {
      const { der } = who.otherHub.certificate;
      const link = await attempt(
        altered(
          (hello) => ({ ...hello, certificate: der }),
          () => who.otherHub,
        ),
      );
      expectRefusedByCloud(link, CloseCode.REFUSED);
    });

    it('would be taken from anybody by a cloud that does not verify (negative control)', async () => {
      const carrier = altered(
        (hello) => hello,
        () => who.connector,
      );
      carrierOf = carrier;
      const link = connect(who, { random, carrier });
      link.host.verifyHub = () => who.connector.key.publicKey;
      await settle();
      expect(link.host.isUp).to.equal(true);
      carrier.cut();
      await settle();
    });

    it('of a recorded session is refused', async () => {
      const recorded = connect(who, { random });
      await settle();
      const old = recorded.carrier.of('up')[0] ?? new Uint8Array(0);
      recorded.carrier.cut();
      const link = await attempt(
        new MemoryCarrier(({ direction, number, bytes }) => [direction === 'up' && number === 0 ? old : bytes]),
      );
      expectRefusedByCloud(link, CloseCode.UNAUTHENTIC);
    });

    it('is not taken twice', async () => {
      const link = await attempt(
        new MemoryCarrier(({ direction, number, bytes }) =>
          direction === 'up' && number === 0 ? [bytes, bytes] : [bytes],
        ),
      );
      expect(link.host.hellos).to.have.length(1);
      expect(link.carrier.endings.hub?.code).to.equal(CloseCode.PROTOCOL);
    });

    for (const [what, change] of [
      ['a short nonce', (hello: Hello) => ({ ...hello, nonce: Buffer.alloc(31) })],
      ['a short boot id', (hello: Hello) => ({ ...hello, bootId: Buffer.alloc(1) })],
      [
        'too many logs',
        (hello: Hello) => ({
          ...hello,
          logs: Array.from({ length: 257 }, () => ({
            log: Buffer.alloc(16),
            first: 0,
            next: 0,
            acked: [],
            chain: Buffer.alloc(0),
            closed: false,
            continued: false,
          })),
        }),
      ],
    ] as const) {
      it(`with ${what} is a fault of protocol, though the hub itself has signed it`, async () => {
        const link = await attempt(altered(change, () => who.hub));
        expectRefusedByCloud(link, CloseCode.PROTOCOL);
      });
    }
  });

  it('refuses a second challenge', async () => {
    const link = connect(who, {
      random,
      carrier: new MemoryCarrier(({ direction, number, bytes }) =>
        direction === 'down' && number === 0 ? [bytes, bytes] : [bytes],
      ),
    });
    await settle();
    expectRefusedByHub(link, CloseCode.PROTOCOL);
  });

  it('refuses content before it is up, in both directions', async () => {
    const early = connect(who, {
      random,
      carrier: new MemoryCarrier(({ direction, number, bytes }) =>
        direction === 'up' && number === 0
          ? [frameEnvelope(encodeUp({ $case: 'bye', value: { reason: 1 } }), 1, Buffer.alloc(16))]
          : [bytes],
      ),
    });
    await settle();
    expectRefusedByCloud(early, CloseCode.PROTOCOL);
    const late = connect(who, {
      random,
      carrier: new MemoryCarrier(({ direction, number, bytes }) =>
        direction === 'down' && number === 1
          ? [frameEnvelope(encodeDown({ $case: 'credit', value: { backfillBytes: 1 } }), 1, Buffer.alloc(16)), bytes]
          : [bytes],
      ),
    });
    await settle();
    expectRefusedByHub(late, CloseCode.PROTOCOL);
    expect(late.member.received_).to.have.length(0);
  });

  it('refuses an envelope that is too large, and one that is none', async () => {
    for (const bytes of [new Uint8Array(MAX_ENVELOPE_BYTES + 1), Uint8Array.of(0xff, 0xff), new Uint8Array(0)]) {
      const link = connect(who, { random });
      await settle();
      link.carrier.inject('up', bytes);
      await settle();
      expect(link.carrier.endings.hub?.code).to.equal(CloseCode.PROTOCOL);
      const other = connect(who, { random });
      await settle();
      other.carrier.inject('down', bytes);
      await settle();
      expect(other.carrier.endings.cloud?.code).to.equal(CloseCode.PROTOCOL);
    }
  });

  it('gives a silent cloud 15 s on the side of the hub', async () => {
    const link = connect(who, { random, carrier: new MemoryCarrier(() => []) });
    await link.clock.advance(seconds(14.9));
    expect([link.hub.state, link.cloud.state]).to.deep.equal(['awaiting-challenge', 'awaiting-hello']);
    await link.clock.advance(seconds(0.1));
    expect(link.hub.state).to.equal('ended');
    expect(link.carrier.endings.cloud?.code).to.equal(CloseCode.GOING_AWAY);
  });

  it('gives a hub that never speaks 20 s on the side of the cloud', async () => {
    const [clock, carrier] = [new FakeClock(), new MemoryCarrier()];
    const host = new RecordingHost(who.cloud, who.hub, who.trust, clock);
    const cloud = new CloudSession({ pipe: carrier.cloud, host, clock, random });
    await clock.advance(seconds(19.9));
    expect(cloud.state).to.equal('awaiting-hello');
    await clock.advance(seconds(0.1));
    expect(cloud.state).to.equal('ended');
    expect(carrier.endings.hub?.code).to.equal(CloseCode.GOING_AWAY);
    expect(clock.armed).to.equal(0);
  });

  it('gives up after three heartbeats without an answer, and not for one that is late', async () => {
    const link = connect(who, { random });
    await settle();
    link.host.answersHeartbeats = false;
    await link.clock.advance(seconds(25));
    expect(link.hub.state).to.equal('up');
    link.host.answersHeartbeats = true;
    await link.clock.advance(seconds(60));
    expect(link.hub.state).to.equal('up');
    link.host.answersHeartbeats = false;
    await link.clock.advance(seconds((4 * HEARTBEAT_MS) / 1_000));
    expect(link.hub.state).to.equal('ended');
    expect((await link.hub.ended).code).to.equal(CloseCode.GOING_AWAY);
    expect(link.clock.armed).to.equal(0);
  });

  it('does not count heartbeats that somebody else has answered', async () => {
    const link = connect(who, { random });
    await settle();
    link.host.answersHeartbeats = false;
    const answer = encodeDown({ $case: 'heartbeatAnswer', value: { number: 2, clockMs: 0 } });
    link.carrier.inject('down', frameEnvelope(answer, 2, who.connector.key.sign(answer).subarray(0, 16)));
    await settle();
    expect(link.carrier.endings.cloud?.code).to.equal(CloseCode.UNAUTHENTIC);
  });

  it('sends nothing until the hub has written the Welcome down', async () => {
    let written: () => void = () => undefined;
    const link = connect(who, { random });
    link.member.whileWelcomed = new Promise((resolve) => {
      written = resolve;
    });
    await settle();
    expect(link.hub.state).to.equal('welcoming');
    link.hub.send({ $case: 'bye', value: { reason: 1 } });
    expect(link.carrier.of('up')).to.have.length(1);
    written();
    await settle();
    expect(link.hub.state).to.equal('up');
    link.carrier.cut();
    await settle();
    expect(link.clock.armed).to.equal(0);
  });

  it('may be ended while the hub writes or the cloud admits: nobody comes up', async () => {
    let go: () => void = () => undefined;
    const wait = new Promise<void>((resolve) => {
      go = resolve;
    });
    const hubSide = connect(who, { random });
    hubSide.member.whileWelcomed = wait;
    const cloudSide = connect(who, { random });
    const { admission } = cloudSide.host;
    cloudSide.host.admission = async () => {
      await wait;
      return admission();
    };
    await settle();
    expect([hubSide.hub.state, cloudSide.cloud.state]).to.deep.equal(['welcoming', 'admitting']);
    hubSide.carrier.cut();
    cloudSide.carrier.cut();
    await settle();
    go();
    await settle();
    expect(hubSide.member.isUp).to.equal(false);
    expect(cloudSide.host.isUp).to.equal(false);
    expect(cloudSide.carrier.of('down')).to.have.length(1);
    expect([hubSide.clock.armed, cloudSide.clock.armed]).to.deep.equal([0, 0]);
  });

  it('binds Welcome to the transcript: the inputs of two sessions differ in every part', () => {
    const [a, b] = [Buffer.alloc(4, 1), Buffer.alloc(4, 2)];
    const inputs = [
      welcomeInput(a, b, a),
      welcomeInput(b, a, a),
      welcomeInput(a, a, b),
      welcomeInput(Buffer.concat([a, b]), Buffer.alloc(0), a),
    ];
    expect(new Set(inputs.map((input) => input.toString('hex'))).size).to.equal(inputs.length);
  });

  for (const [name, edges, count] of [
    ['hub session', HUB_SESSION_EDGES, 5],
    ['cloud session', CLOUD_SESSION_EDGES, 4],
  ] as const) {
    it(`has no edge besides the table of the ${name}`, () => {
      const table = edges as Readonly<Record<string, readonly string[]>>;
      const states = Object.keys(table);
      expect(states).to.have.length(count);
      for (const from of states) {
        for (const to of states) {
          const machine = new StateMachine<string>(name, table, from);
          if (table[from]?.includes(to)) expect(() => machine.to(to)).not.to.throw();
          else expect(() => machine.to(to), `${from} → ${to}`).to.throw(IllegalTransition);
        }
      }
      expect(table[states.at(-1) ?? '']).to.deep.equal([]);
    });
  }
});
