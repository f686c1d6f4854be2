// All rules, in the order in which they are judged, and their findings one by one.
import { every } from '../kernel/clock.js';
import { milliseconds } from '../kernel/duration.js';
import { describe } from '../kernel/fault.js';
import type { Bench } from './bench.js';
import { Broken, type Finding, type Need, type Rule } from './rule.js';
import { BATCHES } from './rules/batches.js';
import { ENROLLMENT } from './rules/enrollment.js';
import { FRAMES, WATCHED } from './rules/frames.js';
import { HANDSHAKE } from './rules/handshake.js';
import { LAST, SESSIONS } from './rules/sessions.js';
import { STORING } from './rules/storing.js';
import { TRUNK } from './rules/trunk.js';
import { Session } from './session.js';

export const RULES: readonly Rule[] = [
  ...ENROLLMENT,
  ...HANDSHAKE,
  ...FRAMES,
  ...STORING,
  ...BATCHES,
  ...SESSIONS,
  ...TRUNK,
  ...WATCHED,
  ...LAST,
];

const MISSING: Readonly<Record<Need, string>> = {
  witness: 'needs a second hub (another --token-file)',
  api: 'needs the API (--client)',
  connector: 'needs a connector (--connector-token), and a cloud to talk to',
  token: 'needs the token that the hub enrolled with',
};

/** Judges these rules, of all that there are. */
export async function* judge(bench: Bench, rules: readonly Rule[] = RULES): AsyncGenerator<Finding, void, void> {
  let witness = await bystander(bench);
  for (const rule of rules) {
    const { id, promise, from, needs } = rule;
    const missing = needs.find((need) => bench[need] === undefined);
    if (missing) {
      yield { id, promise, from, outcome: 'skipped', detail: MISSING[missing] };
      continue;
    }
    if (needs.includes('witness')) witness = witness?.cut();
    yield { id, promise, from, ...(await verdict(rule, bench)) };
    await witness?.unharmed(id);
  }
  witness?.cut();
}

async function verdict({ check }: Rule, bench: Bench): Promise<Pick<Finding, 'outcome' | 'detail'>> {
  try {
    await check(bench);
    return { outcome: 'kept', detail: '' };
  } catch (thrown) {
    // What is no judgement of ours is told as what it is: a refused connection breaks every promise, too.
    const detail = thrown instanceof Broken ? thrown.message : describe(thrown);
    return { outcome: 'broken', detail };
  }
}

interface Bystander {
  unharmed(after: string): Promise<void>;
  cut(): undefined;
}

/** Another hub, which does nothing wrong all the while. */
async function bystander(bench: Bench): Promise<Bystander | undefined> {
  if (!bench.witness) return undefined;
  let session: Session;
  let heartbeatMs: number;
  try {
    session = await Session.open(bench, bench.witness);
    session.greet();
    ({ heartbeatMs } = await session.welcomed());
  } catch (thrown) {
    bench.seenBroken.set('link.others', `another hub gets no session: ${describe(thrown)}`);
    return undefined;
  }
  let beats = 0;
  const alive = every(bench.clock, milliseconds(Math.max(100, heartbeatMs)), () => session.beat(++beats));
  return {
    unharmed: async (after) => {
      if (bench.seenBroken.has('link.others')) return;
      try {
        const mine = ++beats;
        session.beat(mine);
        while ((await session.hear('heartbeatAnswer')).value.number !== mine);
      } catch (thrown) {
        bench.seenBroken.set('link.others', `after ${after}: ${describe(thrown)}`);
      }
    },
    cut: () => {
      alive.disarm();
      session.cut();
      return undefined;
    },
  };
}
