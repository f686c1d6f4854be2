// What leaves a run that was given secrets: no trace of them, whoever quotes them.
import { expect } from 'chai';
import fc from 'fast-check';
import { State } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { systemClock } from '../../../src/kernel/clock.js';
import { seconds } from '../../../src/kernel/duration.js';
import type { Secrets, Sensor } from '../../../src/sensors/kind.js';
import { redactor } from '../../../src/sensors/redact.js';
import { supervise } from '../../../src/sensors/supervise.js';
import { testSeed } from '../../support/seeded-random.js';
import { secretsOf } from './support.js';

const quoting = async (password: string, quote: (password: string) => string) => {
  const { secrets, redact } = redactor(secretsOf({ password }));
  await secrets.get('password');
  return redact(quote(password));
};

describe('sensors/redact', () => {
  it('takes out secrets as they are and as encodings write them', async () => {
    const password = 'p"ss word/1';
    for (const encode of [
      (text: string) => text,
      encodeURIComponent,
      JSON.stringify,
      (text: string) => Buffer.from(text).toString('base64'),
    ]) {
      expect(await quoting(password, (text) => `<${encode(text)}>`)).to.match(/^<"?\*\*\*"?>$/);
    }
    expect(await quoting('first line\nsecond line\n', () => 'it says: second line!')).to.equal('it says: ***!');
  });

  it('leaves nothing of any secret in any text', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ minLength: 4 }), fc.string(), fc.string(), async (secret, before, after) => {
        const text = await quoting(secret, (password) => before.replaceAll('*', '') + password + after);
        // Stars may meet stars of the secret.
        if (!secret.includes('*')) expect(text).to.not.include(secret);
      }),
      { seed: testSeed },
    );
  });

  it('touches nothing else: other words, what was never handed out, what is too short', async () => {
    const { redact } = redactor(secretsOf({ password: 'hunter2' }));
    expect(redact('hunter2')).to.equal('hunter2');
    expect(await quoting('hunter2', () => 'no such table')).to.equal('no such table');
    expect(await quoting('no', () => 'no such table')).to.equal('no such table');
    expect(await quoting('', () => 'no such table')).to.equal('no such table');
  });

  it('stands between every run and its reading', async () => {
    const outcome = async (measure: Sensor['measure']) => {
      const forRun = () => ({ ...secretsOf({ password: 'hunter2' }), wipe: () => undefined });
      const lifetime = new AbortController().signal;
      return await supervise({ measure }, seconds(5), systemClock, lifetime, { forRun }).outcome;
    };
    const say = async (secrets: Secrets) => `refused: ${await secrets.get('password')}`;
    expect(
      await outcome(async (_, secrets) => ({ values: [], state: State.CRITICAL, message: await say(secrets) })),
    ).to.deep.equal({ values: [], state: State.CRITICAL, message: 'refused: ***' });
    const named = await outcome(async (_, secrets) => ({
      values: [{ name: `time/${await secrets.get('password')}`, unit: `${await secrets.get('password')}`, value: 1 }],
    }));
    expect(named.values).to.deep.equal([{ name: 'time/***', unit: '***', value: 1 }]);
    const thrown = await outcome(async (_, secrets) => {
      throw new Error('no', { cause: new Error(await say(secrets)) });
    });
    expect(thrown.message).to.equal('no: refused: ***');
    expect(await outcome(async () => ({ values: [] }))).to.deep.equal({ values: [] });
  });
});
