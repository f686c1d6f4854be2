// Rules of sessions as a whole: which one counts, how it ends, and who may have one at all.
import { ByeReason } from '../../../gen/occmesh/link/v1/link.js';
import { Broken, type Rule, rule } from '../rule.js';
import { Session } from '../session.js';

export const SESSIONS: readonly Rule[] = [
  rule(
    'link.session.superseded',
    'trunk.v1.CloseCode.CLOSE_CODE_SUPERSEDED',
    'A newer session of a hub ends the older one with SUPERSEDED.',
    async (bench) => {
      const older = await Session.up(bench);
      const newer = await Session.up(bench);
      await older.endsWith(['SUPERSEDED']);
      newer.beat(1);
      await newer.hear('heartbeatAnswer');
      newer.cut();
    },
  ),
  rule('link.bye', 'link.v1.Bye', 'After Bye the session ends without a fault.', async (bench) => {
    const session = await Session.up(bench);
    session.say({ $case: 'bye', value: { reason: ByeReason.SHUT_DOWN } });
    await session.endsWith(['', 'DONE']);
  }),
  rule(
    'link.end.reason',
    'link.v1.LinkService.Link',
    'A session that is ended for a fault says which: ErrorInfo.reason is the name of a CloseCode, the message is for people.',
    async (bench) => {
      const session = await Session.up(bench);
      session.greet();
      const { message } = await session.endsWith(['PROTOCOL']);
      if (message === '') throw new Broken('there was no message');
    },
  ),
];

/** Ends a membership: the last of all. */
export const LAST: readonly Rule[] = [
  rule(
    'link.revoked',
    'link.v1.LinkService.Link',
    'A machine that is retired loses its session, and gets none any more: REFUSED.',
    async (bench) => {
      const { api, witness } = bench;
      if (!api || !witness) throw new Error('the rule needs them');
      const session = await Session.up(bench, witness);
      await api.retire(witness.machineId);
      await session.endsWith(['REFUSED']);
      const refused = await Session.open(bench, witness).then(
        async (again) => {
          again.greet();
          await again.endsWith(['REFUSED'], ['welcome']);
          return true;
        },
        (thrown) => /REFUSED/.test(String(thrown)),
      );
      if (!refused) throw new Broken('it was let in again');
    },
    'witness',
    'api',
  ),
];
