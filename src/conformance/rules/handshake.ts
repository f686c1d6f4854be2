// Rules of the handshake: Challenge, Hello, Welcome.
import type { Capability } from '../../../gen/occmesh/link/v1/link.js';
import { SigningKey } from '../../identity/keys.js';
import { minutes } from '../../kernel/duration.js';
import { systemRandom } from '../../kernel/random.js';
import type { Bench } from '../bench.js';
import { Log } from '../log.js';
import { type Rule, require, rule } from '../rule.js';
import { type Greeting, Session } from '../session.js';

/** A Hello that must not be welcomed. */
const refused =
  (reasons: readonly string[], greeting: (bench: Bench) => Greeting) =>
  async (bench: Bench): Promise<void> => {
    const session = await Session.open(bench);
    session.greet(greeting(bench));
    await session.endsWith(reasons, ['welcome']);
  };

const changed = (change: Greeting['change'], ...reasons: string[]) =>
  refused(reasons, () => ({ change: change ?? {} }));

export const HANDSHAKE: readonly Rule[] = [
  rule(
    'link.challenge.fresh',
    'link.v1.Challenge.nonce',
    'Challenge is the server’s first word and has 32 random bytes, others in each session.',
    async (bench) => {
      const nonces: string[] = [];
      for (let i = 0; i < 2; i++) {
        const session = await Session.open(bench);
        const { nonce } = session.offer;
        require(nonce.length === 32, `a nonce of ${nonce.length} bytes`);
        nonces.push(Buffer.from(nonce).toString('hex'));
        session.cut();
      }
      require(nonces[0] !== nonces[1], 'the same nonce in two sessions');
    },
  ),
  rule(
    'link.challenge.versions',
    'link.v1.Challenge.versions',
    'Challenge names the protocol versions of the cloud, ascending, at most 16.',
    async (bench) => {
      const session = await Session.open(bench);
      const { versions } = session.offer;
      session.cut();
      require(versions.length > 0 && versions.length <= 16, `${versions.length} versions`);
      require(versions.every((version, i) => version > (versions[i - 1] ?? 0)), `not ascending: ${versions}`);
    },
  ),
  rule(
    'link.welcome.signed',
    'link.v1.Welcome',
    'Welcome is signed, over the whole transcript, by a cloud node whose certificate ends in the mesh CA.',
    async (bench) => (await Session.up(bench)).cut(),
  ),
  rule(
    'link.welcome.generation',
    'link.v1.Welcome.generation',
    'The generation of each Welcome is higher than any that was issued before.',
    async (bench) => {
      const before = bench.hub.generation;
      const session = await Session.open(bench);
      session.greet();
      const first = (await session.welcomed()).generation;
      session.cut();
      const again = await Session.open(bench);
      again.greet();
      const second = (await again.welcomed()).generation;
      again.cut();
      require(first > before && second > first, `generations ${before}, ${first}, ${second}`);
    },
  ),
  rule(
    'link.welcome.holdings',
    'link.v1.Welcome.holdings',
    'Welcome says of each log that Hello names what the cloud holds.',
    async (bench) => {
      const log = new Log(bench.hub, bench.clock.now());
      const session = await Session.open(bench);
      session.greet({ change: { logs: [log.summary()] } });
      const { holdings } = await session.welcomed();
      session.cut();
      require(holdings.length === 1, `${holdings.length} holdings for one log`);
      require(Buffer.from(holdings[0]?.log ?? []).equals(log.id), 'a holding of another log');
      require(holdings[0]?.held.length === 0, 'something is held of a log that is new');
    },
  ),
  rule(
    'link.welcome.heartbeat',
    'link.v1.Welcome.heartbeat_ms',
    'Welcome says how often to send a Heartbeat and how much LIVE may be unacknowledged, and tells the time.',
    async (bench) => {
      const session = await Session.open(bench);
      session.greet();
      const { heartbeatMs, liveWindow, clockMs } = await session.welcomed();
      session.cut();
      require(heartbeatMs > 0 && liveWindow > 0, `heartbeat ${heartbeatMs} ms, window ${liveWindow}`);
      const skew = Math.abs(clockMs - bench.clock.now());
      require(skew < minutes(10), `its clock differs by ${skew} ms from that of this machine`);
    },
  ),
  rule(
    'link.hello.signature',
    'link.v1.Hello',
    'A Hello whose signature does not verify is refused.',
    refused(['UNAUTHENTIC'], () => ({ signature: flipped })),
  ),
  rule(
    'link.hello.other-key',
    'link.v1.Hello.certificate',
    'A Hello that another key has signed than that of its certificate is refused.',
    refused(['UNAUTHENTIC'], () => ({ signature: () => SigningKey.generate().sign(systemRandom.bytes(32)) })),
  ),
  rule(
    'link.hello.replay',
    'link.v1.Hello',
    'A recorded Hello does not open another session: it is signed over the Challenge.',
    async (bench) => {
      const recorded = await Session.up(bench);
      const session = await Session.open(bench);
      session.raw(recorded.helloEnvelope);
      await session.endsWith(['UNAUTHENTIC'], ['welcome']);
      recorded.cut();
    },
  ),
  rule(
    'link.hello.other-machine',
    'link.v1.Hello.machine_id',
    'A Hello that speaks for another machine than its certificate is refused.',
    refused(['REFUSED', 'UNAUTHENTIC'], () => ({ change: { machineId: systemRandom.bytes(16) } })),
  ),
  rule(
    'link.hello.version',
    'link.v1.Hello.version',
    'A version that the cloud does not speak is refused with VERSION, and words that name the side to be updated.',
    async (bench) => {
      const session = await Session.open(bench);
      session.greet({ change: { version: Math.max(...session.offer.versions) + 1 } });
      const { message } = await session.endsWith(['VERSION'], ['welcome']);
      require(/update/i.test(message), `the message was: ${message}`);
    },
  ),
  rule(
    'link.hello.session-key',
    'link.v1.Hello.session_key',
    'A session key that is none (a point of low order, a wrong length) is refused.',
    async (bench) => {
      for (const sessionKey of [Buffer.alloc(32), Buffer.alloc(31, 1)]) {
        await changed({ sessionKey }, 'PROTOCOL')(bench);
      }
    },
  ),
  rule(
    'link.hello.nonce',
    'link.v1.Hello.nonce',
    'A Hello without a nonce of 32 bytes is refused.',
    changed({ nonce: Buffer.alloc(31, 1) }, 'PROTOCOL'),
  ),
  rule('link.hello.logs', 'link.v1.Hello.logs', 'A Hello that names more than 256 logs is refused.', async (bench) => {
    const logs = Array.from({ length: 257 }, () => new Log(bench.hub, bench.clock.now()).summary());
    await changed({ logs }, 'PROTOCOL')(bench);
  }),
  rule(
    'link.hello.capabilities',
    'link.v1.Capability',
    'Capabilities that the cloud does not know are ignored, and not among those that Welcome names.',
    async (bench) => {
      const session = await Session.open(bench);
      const unknown = [1_000_001, 1_000_002] as number[] as Capability[];
      session.greet({ change: { capabilities: unknown } });
      const { capabilities } = await session.welcomed();
      session.cut();
      require(capabilities.length === 0, `Welcome names ${capabilities}`);
    },
  ),
  rule(
    'link.hello.clock',
    'link.v1.Hello.clock_ms',
    'A hub whose clock is wrong by years is welcome.',
    async (bench) => {
      for (const clockMs of [0, bench.clock.now() + 20 * 365 * 86_400_000]) {
        (await Session.up(bench, bench.hub, { clockMs })).cut();
      }
    },
  ),
  rule('link.hello.once', 'link.v1.Hello', 'A second Hello ends the session.', async (bench) => {
    const session = await Session.up(bench);
    session.greet();
    await session.endsWith(['PROTOCOL'], ['welcome']);
  }),
  rule('link.hello.first', 'link.v1.LinkUp.hello', 'Nothing is taken before Hello.', async (bench) => {
    const session = await Session.open(bench);
    session.beat(1);
    await session.endsWith(['PROTOCOL', 'UNAUTHENTIC'], ['heartbeatAnswer']);
  }),
];

/** One bit differs. */
export function flipped(bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy[0] = (copy[0] ?? 0) ^ 1;
  return copy;
}
