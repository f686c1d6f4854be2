// Rules of what is not stored: batches and gaps that prove nothing, or come as they may not.
import { Lane } from '../../../gen/occmesh/link/v1/link.js';
import { SigningKey } from '../../identity/keys.js';
import type { Bench } from '../bench.js';
import { acknowledged, comeBack, newLog, send } from '../delivery.js';
import type { Log, MadeBatch } from '../log.js';
import { type Rule, require, rule } from '../rule.js';
import { Session } from '../session.js';
import { flipped } from './handshake.js';

/** A batch that must neither be acknowledged nor kept. */
const notTaken =
  (reasons: readonly string[], make: (log: Log) => { batch: MadeBatch; lane?: Lane }) =>
  async (bench: Bench): Promise<void> => {
    const log = newLog(bench);
    const session = await Session.up(bench);
    const { batch, lane } = make(log);
    send(session, batch, lane);
    await session.endsWith(reasons, ['ack']);
    const { session: again, holding } = await comeBack(bench, log);
    again.cut();
    require(holding.held.length === 0, 'it was refused, and is held');
  };

export const BATCHES: readonly Rule[] = [
  rule(
    'link.batch.signature',
    'telemetry.v1.Batch',
    'A batch whose signature does not verify ends the session, is not acknowledged and not kept.',
    notTaken(['UNAUTHENTIC'], (log) => {
      const batch = log.write();
      return { batch: { ...batch, signed: { ...batch.signed, signature: flipped(batch.signed.signature) } } };
    }),
  ),
  rule(
    'link.batch.author',
    'telemetry.v1.Batch',
    'A batch that no key of the session’s hub has signed is refused.',
    notTaken(['UNAUTHENTIC'], (log) => {
      const batch = log.write();
      const signature = SigningKey.generate().sign(Buffer.from('somebody else'));
      return { batch: { ...batch, signed: { ...batch.signed, signature } } };
    }),
  ),
  rule(
    'link.batch.key-id',
    'link.v1.LinkUp.batch',
    'A batch that names its key is refused: the session implies it.',
    async (bench) =>
      notTaken(['PROTOCOL'], (log) => {
        const batch = log.write();
        return { batch: { ...batch, signed: { ...batch.signed, keyId: bench.hub.key.publicKey.keyId } } };
      })(bench),
  ),
  rule(
    'link.batch.lane',
    'link.v1.Lane',
    'A batch in CONTROL is refused.',
    notTaken(['PROTOCOL'], (log) => ({ batch: log.write(), lane: Lane.CONTROL })),
  ),
  rule(
    'link.batch.implied-log',
    'link.v1.LinkUp.batch',
    'A batch may lack its log once a Heartbeat has named it, and not before.',
    async (bench) => {
      const without = ({ signed, ...batch }: MadeBatch): MadeBatch => {
        return { ...batch, signed: { ...signed, content: signed.content.subarray(18) } };
      };
      await notTaken(['PROTOCOL'], (log) => ({ batch: without(log.write()) }))(bench);
      const log = newLog(bench);
      const session = await Session.up(bench);
      const batch = log.write();
      session.beat(1, { log: log.id, next: log.next });
      send(session, without(batch));
      await acknowledged(session, log, [batch]);
      session.cut();
    },
  ),
  rule(
    'link.gap.signature',
    'telemetry.v1.Gap',
    'A gap whose signature does not verify ends the session, and is not recorded.',
    async (bench) => {
      const log = newLog(bench);
      const session = await Session.up(bench);
      const gap = log.gap();
      session.sayContent({ $case: 'gap', value: { ...gap, signature: flipped(gap.signature) } }, Lane.CONTROL);
      await session.endsWith(['UNAUTHENTIC'], ['gapAck']);
    },
  ),
];
