// All kinds together: catalogue and registry agree, defaults are valid, and a new hub's sensors work on this machine.
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { z } from 'zod';
import { State } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { CATALOGUE, describeKind } from '../../../src/sensors/catalogue.js';
import { DEFAULT_SENSORS } from '../../../src/sensors/defaults.js';
import { KINDS } from '../../../src/sensors/registry.js';
import { SensorScheduler } from '../../../src/sensors/scheduler.js';
import { parseThreshold } from '../../../src/sensors/thresholds.js';
import { checkReading } from '../../../src/telemetry/reading.js';
import { realModules, sensorConfig } from './support.js';

const SENSORS = resolve(dirname(fileURLToPath(import.meta.url)), '../../../src/sensors');

/** Every package and builtin that importing this file loads. Types are not loaded. */
function loads(file: string, seen = new Set<string>()): Set<string> {
  if (seen.has(file)) return new Set();
  seen.add(file);
  const found = new Set<string>();
  for (const [, specifier = ''] of readFileSync(file, 'utf8').matchAll(
    /^(?:import|export) (?!type)[^;]*from '([^']+)';$/gm,
  )) {
    if (!specifier.startsWith('.')) found.add(specifier);
    else for (const inner of loads(resolve(dirname(file), specifier.replace(/\.js$/, '.ts')), seen)) found.add(inner);
  }
  return found;
}

describe('sensors/registry', () => {
  it('every kind of the catalogue can be made, under its own name', () => {
    expect([...KINDS.keys()].sort()).to.deep.equal(Object.keys(CATALOGUE).sort());
    for (const [name, kind] of KINDS) {
      expect(kind.name).to.equal(name);
      expect(describeKind(name)?.settings).to.equal(kind.settings);
    }
    expect(describeKind('toString')).to.equal(undefined);
  });

  it('defaults of every kind keep the rules of a configuration', () => {
    for (const { name, defaults, summary } of KINDS.values()) {
      expect(defaults.interval, name).to.be.at.least(1_000);
      expect(defaults.timeout, name).to.be.below(defaults.interval);
      for (const threshold of defaults.thresholds) parseThreshold(threshold);
      expect(summary).to.match(/^[A-Z].*[^.]$/);
    }
  });

  it('every schema can be shown to people and programs', () => {
    for (const { name, settings } of KINDS.values()) {
      expect(z.toJSONSchema(settings, { io: 'input' }), name).to.include({
        type: 'object',
        additionalProperties: false,
      });
    }
  });

  it('catalogue and defaults load nothing that measures', () => {
    expect([...loads(resolve(SENSORS, 'catalogue.ts'))]).to.deep.equal(['zod']);
    expect([...loads(resolve(SENSORS, 'defaults.ts'))]).to.deep.equal([]);
    // The walk does see what there is.
    expect([...loads(resolve(SENSORS, 'registry.ts'))]).to.include.members(['node:child_process', 'node:os', 'zod']);
  });

  it('no kind loads a heavy library before its first run', () => {
    const loaded = [...loads(resolve(SENSORS, 'registry.ts'))];
    expect(loaded.filter((name) => !name.startsWith('node:'))).to.deep.equal(['zod']);
  });

  it('the sensors of a new hub work here', async () => {
    await using scheduler = new SensorScheduler({ onReading: checkReading }, { ...realModules(), kinds: KINDS });
    const configs = DEFAULT_SENSORS.map(({ name, kind, settings }, index) =>
      sensorConfig({ number: index + 1, name, kind, settings, thresholds: CATALOGUE[kind].defaults.thresholds }),
    );
    expect(await scheduler.apply(configs)).to.deep.equal([]);
    const readings = await Promise.all(configs.map(({ number }) => scheduler.runNow(number)));
    for (const reading of readings) {
      expect(reading.state, reading.message).to.be.oneOf([State.OK, State.WARNING, State.CRITICAL]);
      if (reading.state === State.OK) expect(reading.message).to.equal('');
    }
    expect(readings.filter(({ values }) => values.length > 0)).to.have.length.at.least(4);
  });
});
