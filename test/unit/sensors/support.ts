// What tests of sensors share: modules of a sensor on the real machine, and certificates made on the spot.
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import type { SensorConfig } from '../../../gen/occmesh/link/v1/link.js';
import { systemClock } from '../../../src/kernel/clock.js';
import { silentLogger } from '../../../src/kernel/log.js';
import type { Measurement, Secrets, Sensor, SensorKind, SensorModules } from '../../../src/sensors/kind.js';
import type { PlanModules } from '../../../src/sensors/plan.js';
import { NO_SECRETS } from '../../../src/sensors/secrets.js';
import { couldMatch } from '../../../src/sensors/thresholds.js';
import { seededRandom, testSeed } from '../../support/seeded-random.js';

x509.cryptoProvider.set(webcrypto);

export const realModules = (changes: Partial<PlanModules> = {}): PlanModules => ({
  clock: systemClock,
  random: seededRandom(testSeed),
  log: silentLogger,
  platform: process.platform,
  exec: { directories: [] },
  openSecret: () => Promise.reject(new Error('no secret is expected')),
  watch: { directories: [] },
  ssh: { commands: {} },
  ...changes,
});

/** The plaintexts of a run, by field. */
export const secretsOf = (fields: Readonly<Record<string, string>>): Secrets => ({
  get: async (field) => (fields[field] === undefined ? undefined : Buffer.from(fields[field])),
});

/** A sensor that may be measured without secrets. */
interface TestSensor extends Sensor {
  measure(signal: AbortSignal, secrets?: Secrets): Promise<Measurement>;
}

/** A sensor of this kind, its settings read as the scheduler reads them. */
export function sensorOf<S>(
  kind: SensorKind<S>,
  settings: unknown = {},
  changes: Partial<SensorModules> = {},
): TestSensor {
  const sensor = kind.create(kind.settings.parse(settings), realModules(changes));
  const measure = sensor.measure.bind(sensor);
  // Whatever is measured in any test, the catalogue must know of it.
  sensor.measure = async (signal, secrets = NO_SECRETS.forRun()) => {
    const measurement = await measure(signal, secrets);
    for (const { name } of measurement.values) {
      if (kind.metrics?.every((metric) => !couldMatch(metric, name))) throw new Error(`the catalogue lacks ${name}`);
    }
    return measurement;
  };
  return sensor as TestSensor;
}

export function measure<S>(
  kind: SensorKind<S>,
  settings: unknown = {},
  signal: AbortSignal = new AbortController().signal,
  secrets?: Secrets,
): Promise<Measurement> {
  return sensorOf(kind, settings).measure(signal, secrets);
}

/** Value by name; NaN when it was not measured, which fails every comparison. */
export const metricOf = ({ values }: Measurement, name: string): number =>
  values.find((metric) => metric.name === name)?.value ?? Number.NaN;

export const sensorConfig = (changes: Partial<SensorConfig> & { number: number }): SensorConfig => ({
  name: `sensor ${changes.number}`,
  kind: 'probe',
  settings: {},
  intervalMs: 60_000,
  timeoutMs: 10_000,
  thresholds: [],
  paused: false,
  secrets: [],
  ...changes,
});

const DAY = 86_400_000;
const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

/** A self-signed certificate for localhost that ends so many days from now (or ended, if negative), with its key. */
export async function makeCertificate(daysLeft: number, name = 'localhost'): Promise<{ cert: string; key: string }> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: '01',
    name: `CN=${name}`,
    notBefore: new Date(systemClock.now() - 400 * DAY),
    // Half an hour more, so that a slow run does not fall below the number.
    notAfter: new Date(systemClock.now() + daysLeft * DAY + DAY / 48),
    keys,
    signingAlgorithm: algorithm,
    extensions: [new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: name }])],
  });
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey));
  return { cert: certificate.toString('pem'), key: x509.PemConverter.encode(pkcs8, 'PRIVATE KEY') };
}
