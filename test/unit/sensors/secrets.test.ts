// Secrets of sensors in their runs: opened for one run, wiped after it, whatever the sensor does; and what the scheduler
// makes of new ones.
import { expect } from 'chai';
import { z } from 'zod';
import type { SealedSecret } from '../../../gen/occmesh/link/v1/link.js';
import { seconds } from '../../../src/kernel/duration.js';
import { SensorFault } from '../../../src/sensors/fault.js';
import type { Secrets, SensorKind } from '../../../src/sensors/kind.js';
import { KINDS } from '../../../src/sensors/registry.js';
import { SensorScheduler } from '../../../src/sensors/scheduler.js';
import type { OpenSecret } from '../../../src/sensors/secrets.js';
import type { Reading } from '../../../src/telemetry/reading.js';
import { FakeClock } from '../../support/fake-clock.js';
import { realModules, sensorConfig } from './support.js';

const sealed = (field: string, version: number, ciphertext = 'x'): SealedSecret => ({
  field,
  version,
  target: [],
  sealingKeyId: Buffer.alloc(8),
  encapsulatedKey: Buffer.alloc(32),
  ciphertext: Buffer.from(ciphertext),
});

/** A kind that does with its secrets what `use` says. */
class Bench implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly readings: Reading[] = [];
  readonly opened: { plaintext: Buffer; target: object; ciphertext: string }[] = [];
  created = 0;
  /** What runs have seen: what they say of it is blacked out. */
  readonly seen: string[] = [];
  use: (secrets: Secrets) => Promise<string> = async (secrets) => {
    this.seen.push(String(await secrets.get('password')));
    return 'used';
  };
  readonly scheduler: SensorScheduler;

  constructor(required = false) {
    const kind: SensorKind<{ host: string }> = {
      name: 'probe',
      summary: '',
      settings: z.strictObject({ host: z.string().default('a') }),
      secrets: { fields: { password: { summary: '', required } }, target: ({ host }) => ({ host }) },
      defaults: { interval: seconds(60), timeout: seconds(10), thresholds: [] },
      create: () => {
        this.created += 1;
        return { measure: async (_, secrets) => ({ values: [], message: await this.use(secrets) }) };
      },
    };
    const openSecret: OpenSecret = async (_, { ciphertext }, target) => {
      if (ciphertext[0] === 0x21) throw new SensorFault('sensor.secret', 'it must not be used');
      const plaintext = Buffer.from(ciphertext);
      this.opened.push({ plaintext, target, ciphertext: plaintext.toString() });
      return plaintext;
    };
    const kinds = new Map([['probe', kind as SensorKind<unknown>]]);
    const modules = { ...realModules({ clock: this.clock, openSecret }), kinds };
    this.scheduler = new SensorScheduler({ onReading: (reading) => this.readings.push(reading) }, modules);
  }

  apply(secrets: SealedSecret[], settings: object = {}) {
    return this.scheduler.apply([sensorConfig({ number: 1, secrets, settings })]);
  }

  async sees(): Promise<string | undefined> {
    expect(await this.run()).to.equal('used');
    return this.seen.at(-1);
  }

  async run(): Promise<string> {
    return (await this.scheduler.runNow(1)).message;
  }

  [Symbol.asyncDispose]() {
    return this.scheduler.stop();
  }
}

describe('secrets of sensors', () => {
  it('are opened for the target of the configuration, and wiped when the run is over', async () => {
    await using bench = new Bench();
    await bench.apply([sealed('password', 1, 'hunter2')], { host: 'db' });
    expect(await bench.sees()).to.equal('hunter2');
    expect(bench.opened[0]).to.deep.include({ target: { host: 'db' }, ciphertext: 'hunter2' });
    expect(bench.opened[0]?.plaintext.equals(Buffer.alloc(7))).to.equal(true);
    bench.use = async (secrets) => {
      await secrets.get('password');
      throw new Error('broken');
    };
    expect(await bench.run()).to.equal('broken');
    expect(bench.opened[1]?.plaintext.equals(Buffer.alloc(7))).to.equal(true);
  });

  it('are refused after the run, and wiped all the same', async () => {
    await using bench = new Bench();
    await bench.apply([sealed('password', 1, 'hunter2')]);
    let kept: Secrets | undefined;
    bench.use = async (secrets) => {
      kept = secrets;
      return '';
    };
    await bench.run();
    const late = await kept?.get('password').catch((thrown: Error) => thrown.message);
    expect(late).to.equal('the run is over');
    expect(bench.opened[0]?.plaintext.equals(Buffer.alloc(7))).to.equal(true);
  });

  it('may be missing, unless the kind cannot do without', async () => {
    await using bench = new Bench();
    await bench.apply([]);
    expect(await bench.sees()).to.equal('undefined');
    await using strict = new Bench(true);
    await strict.apply([]);
    expect(await strict.run()).to.equal('no password has been entered for this target');
    bench.use = async (secrets) => `constructor: ${await secrets.get('constructor')}`;
    expect(await bench.run()).to.equal('constructor: undefined');
  });

  it('that must not be used make the reading say so', async () => {
    await using bench = new Bench();
    await bench.apply([sealed('password', 1, '!')]);
    expect(await bench.run()).to.equal('it must not be used');
  });

  it('begin a new sensor when they change, and only then', async () => {
    await using bench = new Bench();
    await bench.apply([sealed('password', 1, 'one')]);
    await bench.apply([sealed('password', 1, 'one')]);
    expect(bench.created).to.equal(1);
    // Sealed anew to another key: the same sensor, which must not go on with what it had.
    await bench.apply([sealed('password', 1, 'resealed')]);
    expect(await bench.sees()).to.equal('resealed');
    await bench.apply([sealed('password', 2, 'two')]);
    expect(await bench.sees()).to.equal('two');
    await bench.apply([]);
    expect(await bench.sees()).to.equal('undefined');
    expect(bench.created - 1, 'the plan of the resealed one is made, and not used').to.equal(3);
  });

  it('have names that the contract allows, in every kind', () => {
    const fields = [...KINDS.values()].flatMap(({ secrets }) => Object.keys(secrets?.fields ?? {}));
    expect(fields).to.not.be.empty;
    for (const field of fields) expect(field).to.match(/^[a-z][a-z0-9-]{0,63}$/);
  });
});
