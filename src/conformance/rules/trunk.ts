// Rules of a connector's trunk: its beginning, its channels, and whose fault ends what.
import { CloseCode } from '../../../gen/occmesh/trunk/v1/trunk.js';
import { systemRandom } from '../../kernel/random.js';
import type { Bench, PlayedConnector } from '../bench.js';
import { type Rule, require, rule } from '../rule.js';
import { Session } from '../session.js';
import { Trunk } from '../trunk.js';

function playedBy({ connector }: Bench): PlayedConnector {
  if (!connector) throw new Error('the rule needs a connector');
  return connector;
}

const trunkRule = (id: string, from: string, promise: string, check: (bench: Bench) => Promise<void>): Rule =>
  rule(id, from, promise, check, 'connector');

const DONE = { $case: 'close', value: { code: CloseCode.DONE, message: '', retryAfterMs: 0 } } as const;
const ENVELOPE = { $case: 'envelope', value: Buffer.alloc(8) } as const;

export const TRUNK: readonly Rule[] = [
  trunkRule(
    'trunk.welcome',
    'trunk.v1.TrunkWelcome',
    'TrunkHello is answered with the version that both speak, and how often to send a heartbeat.',
    async (bench) => {
      const unknown = [1_000_001] as number[];
      const { trunk, welcome } = await Trunk.up(bench, { version: 1, versions: [1], capabilities: unknown });
      trunk.cut();
      require(welcome.version === 1, `version ${welcome.version}`);
      require(welcome.heartbeatMs > 0, `heartbeat ${welcome.heartbeatMs} ms`);
      require(welcome.capabilities.length === 0, `capabilities ${welcome.capabilities}`);
    },
  ),
  trunkRule(
    'trunk.version',
    'trunk.v1.TrunkHello.versions',
    'Where there is no version in common the trunk ends with VERSION, and words that name the side to be updated.',
    async (bench) => {
      const trunk = Trunk.open(bench);
      trunk.greet({ version: 1_000, versions: [999, 1_000] });
      const { message } = await trunk.endsWith('VERSION');
      require(/update/i.test(message), `the message was: ${message}`);
    },
  ),
  trunkRule(
    'trunk.hello',
    'trunk.v1.Frame.hello',
    'A trunk begins with TrunkHello, and has one only.',
    async (bench) => {
      const early = Trunk.open(bench);
      early.open(1, playedBy(bench).hub.certificate);
      await early.endsWith('PROTOCOL');
      const { trunk } = await Trunk.up(bench);
      trunk.greet();
      await trunk.endsWith('PROTOCOL');
    },
  ),
  trunkRule(
    'trunk.heartbeat',
    'trunk.v1.TrunkHeartbeat.number',
    'Each heartbeat of a trunk is answered with its number.',
    async (bench) => {
      const { trunk } = await Trunk.up(bench);
      for (const number of [1, 2, 3]) await trunk.alive(number);
      trunk.cut();
    },
  ),
  trunkRule('trunk.garbage', 'trunk.v1.TrunkFrames', 'What does not parse ends the trunk.', async (bench) => {
    const { trunk } = await Trunk.up(bench);
    trunk.raw(Buffer.alloc(64, 0xff));
    await trunk.endsWith('PROTOCOL');
  }),
  trunkRule(
    'trunk.newer',
    'trunk.v1.TrunkService.Trunk',
    'A newer trunk of the same connector ends the older one.',
    async (bench) => {
      const { trunk: older } = await Trunk.up(bench);
      const { trunk: newer } = await Trunk.up(bench);
      await older.endsWith('SUPERSEDED');
      await newer.alive(1);
      newer.cut();
    },
  ),
  trunkRule(
    'trunk.channel',
    'trunk.v1.Frame.open',
    'A channel that is opened for a hub carries its session, and another one does not notice.',
    async (bench) => {
      const connector = playedBy(bench);
      const { trunk } = await Trunk.up(bench);
      const target = { ...bench.target, open: () => trunk.channel(2, connector) };
      trunk.open(1, connector.hub.certificate);
      await trunk.hear('envelope', 1);
      const session = await Session.up({ ...bench, target }, connector.hub);
      session.beat(1);
      await session.hear('heartbeatAnswer');
      trunk.cut();
    },
  ),
  trunkRule(
    'trunk.channel.fault',
    'trunk.v1.Close.code',
    'What one hub does wrong closes its channel, and neither the trunk nor another channel.',
    async (bench) => {
      const { hub } = playedBy(bench);
      const { trunk } = await Trunk.up(bench);
      trunk.open(1, hub.certificate);
      await trunk.hear('envelope', 1);
      trunk.say(1, { $case: 'envelope', value: Buffer.alloc(64, 0xff) });
      const { code } = await trunk.hear('close', 1);
      require(code === CloseCode.PROTOCOL, `closed with ${CloseCode[code]}`);
      await trunk.alive(1);
      trunk.open(2, hub.certificate);
      await trunk.hear('envelope', 2);
      trunk.cut();
    },
  ),
  trunkRule(
    'trunk.open.stranger',
    'trunk.v1.Open.certificate',
    'A channel for who is no hub of this customer is closed, the trunk is not.',
    async (bench) => {
      const { trunk } = await Trunk.up(bench);
      for (const [i, certificate] of [systemRandom.bytes(64), playedBy(bench).certificate].entries()) {
        trunk.open(i + 1, certificate);
        const { code } = await trunk.hear('close', i + 1);
        require(code === CloseCode.UNAUTHENTIC || code === CloseCode.REFUSED, `closed with ${CloseCode[code]}`);
      }
      await trunk.alive(1);
      trunk.cut();
    },
  ),
  trunkRule(
    'trunk.channel.number',
    'trunk.v1.Frame.channel',
    'A channel’s number is never used again: a second Open ends the trunk.',
    async (bench) => {
      const { hub } = playedBy(bench);
      const { trunk } = await Trunk.up(bench);
      trunk.open(1, hub.certificate);
      trunk.say(1, DONE);
      trunk.open(1, hub.certificate);
      await trunk.endsWith('PROTOCOL');
    },
  ),
  trunkRule(
    'trunk.channel.unopened',
    'trunk.v1.Frame.envelope',
    'An envelope on a channel that never was opened ends the trunk.',
    async (bench) => {
      const { trunk } = await Trunk.up(bench);
      trunk.say(7, ENVELOPE);
      await trunk.endsWith('PROTOCOL');
    },
  ),
  trunkRule(
    'trunk.channel.crossing',
    'trunk.v1.Frame.close',
    'Frames on a channel that has ended are ignored.',
    async (bench) => {
      const { trunk } = await Trunk.up(bench);
      trunk.open(1, playedBy(bench).hub.certificate);
      await trunk.hear('envelope', 1);
      trunk.say(1, DONE);
      trunk.say(1, ENVELOPE);
      trunk.say(1, DONE);
      await trunk.alive(1);
      trunk.cut();
    },
  ),
];
