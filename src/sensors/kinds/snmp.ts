// Kind `snmp`: asks a device for values by SNMP v2c or v3 (GET only). Of counters, the rate per second is measured.
import { isIP } from 'node:net';
import type { Session, Varbind } from 'net-snmp';
import { sleep } from '../../kernel/clock.js';
import { type Duration, milliseconds, seconds } from '../../kernel/duration.js';
import { snmp as description, type SnmpSettings } from '../catalogue/snmp.js';
import { SensorFault } from '../fault.js';
import type { Measurement, MetricValue, Secrets, Sensor, SensorKind, SensorModules } from '../kind.js';
import { critical, verdictOn } from '../network-verdict.js';
import { round } from '../rounding.js';
import { requireSecretText } from '../secret-text.js';
import { untilAborted } from '../service-socket.js';

/** Datagrams get lost: each question is asked so often, and so much time is between. */
const TRIES = 4;
const BETWEEN = seconds(2);
/** Between the two looks of a first run that meets a counter. */
const MOMENT = seconds(1);
/** RFC 2578, and net-snmp's numbers of them. */
const COUNTER32 = 65;
const TIME_TICKS = 67;
const COUNTER64 = 70;

export interface Answer {
  readonly value: number;
  readonly type: number;
}
interface Look {
  readonly at: Duration;
  readonly answers: ReadonlyMap<string, Answer>;
}

/** Undefined for what is no number. */
export function numberOf({ value }: Varbind): number | undefined {
  if (typeof value === 'number' || typeof value === 'bigint') return Number(value);
  if (!Buffer.isBuffer(value)) return undefined;
  const text = value.toString('latin1').trim();
  return /^[+-]?\d{1,15}(?:\.\d{1,9})?$/.test(text) ? Number(text) : undefined;
}

/** A Counter64 comes as the bytes of its number, most significant first. */
const counterOf = ({ value }: Varbind): number =>
  Buffer.isBuffer(value) ? Number(BigInt(`0x${value.toString('hex') || '0'}`)) : Number(value);

const isCounter = ({ type }: Answer) => type === COUNTER32 || type === COUNTER64;

export function snmpValues({ at, answers }: Look, before: Look | undefined): MetricValue[] {
  return [...answers].flatMap(([name, answer]): MetricValue[] => {
    const metric = `value/${name}`;
    if (answer.type === TIME_TICKS) return [{ name: metric, unit: 's', value: Math.floor(answer.value / 100) }];
    if (!isCounter(answer)) return [{ name: metric, unit: '', value: answer.value }];
    const [from, elapsed] = [before?.answers.get(name), at - (before?.at ?? at)];
    if (!from || elapsed <= 0) return [];
    const wrapped = answer.type === COUNTER32 ? answer.value + 2 ** 32 : answer.value;
    // A counter of 32 bits that falls has most likely gone once around; one of 64 bits began again.
    const grown =
      answer.value >= from.value ? answer.value - from.value : wrapped - (answer.type === COUNTER32 ? from.value : 0);
    return [{ name: metric, unit: '/s', value: round(grown / (elapsed / 1_000), 1) }];
  });
}

type Library = typeof import('net-snmp');

async function sessionOf(library: Library, settings: SnmpSettings, secrets: Secrets): Promise<Session> {
  const { lookup } = await import('node:dns/promises');
  const { auth, priv, port, version, user = '' } = settings;
  // Before anybody is asked for the way: a secret that is missing is no verdict on the device.
  const community = version === '2c' ? await requireSecretText(secrets, 'community') : '';
  const authKey = version === '3' && auth !== 'none' ? await requireSecretText(secrets, 'auth-password') : undefined;
  const privKey = version === '3' && priv !== 'none' ? await requireSecretText(secrets, 'priv-password') : undefined;
  const { address } = await lookup(settings.host);
  const options = {
    port,
    transport: isIP(address) === 6 ? 'udp6' : 'udp4',
    retries: TRIES - 1,
    timeout: BETWEEN,
    backoff: 1,
    idBitsSize: 32,
  } as const;
  if (version === '2c') return library.createSession(address, community, { ...options, version: library.Version2c });
  const level = library.SecurityLevel[privKey ? 'authPriv' : authKey ? 'authNoPriv' : 'noAuthNoPriv'];
  const proof = authKey === undefined ? {} : { authProtocol: library.AuthProtocols[auth], authKey };
  const secrecy = privKey === undefined ? {} : { privProtocol: library.PrivProtocols[priv], privKey };
  const who = { name: user, level, ...proof, ...secrecy } as Parameters<Library['createV3Session']>[1];
  return library.createV3Session(address, who, { ...options, version: library.Version3 } as never);
}

function readable(library: Library, name: string, varbind: Varbind): Answer {
  if (library.isVarbindError(varbind)) {
    throw new SensorFault('sensor.unreadable', `${name}: the device knows no such object`);
  }
  const type = Number(varbind.type);
  const value = type === COUNTER64 ? counterOf(varbind) : numberOf(varbind);
  if (value !== undefined) return { value, type };
  throw new SensorFault('sensor.unreadable', `${name}: the value is no number`);
}

class SnmpSensor implements Sensor {
  #before: Look | undefined;

  constructor(
    private readonly settings: SnmpSettings,
    private readonly modules: SensorModules,
  ) {}

  async measure(signal: AbortSignal, secrets: Secrets): Promise<Measurement> {
    signal.throwIfAborted();
    const library = (await import('net-snmp')).default as Library;
    let session: Session | undefined;
    try {
      session = await sessionOf(library, this.settings, secrets);
      // Its requests say the same.
      session.on('error', () => undefined);
      return await this.#ask(library, session, signal);
    } catch (thrown) {
      if (thrown instanceof SensorFault && !signal.aborted) throw thrown;
      return signal.aborted ? verdictOn(thrown, signal) : verdict(thrown, signal);
    } finally {
      session?.close();
    }
  }

  async #ask(library: Library, session: Session, signal: AbortSignal): Promise<Measurement> {
    const { clock } = this.modules;
    const started = clock.monotonic();
    let look = await this.#look(library, session, signal);
    const time = { name: 'time', unit: 'ms', value: round(look.at - started, 1) };
    const isNew = [...look.answers].some(([name, answer]) => isCounter(answer) && !this.#before?.answers.has(name));
    if (isNew) {
      this.#before = look;
      await sleep(clock, MOMENT, signal);
      look = await this.#look(library, session, signal);
    }
    const values = [time, ...snmpValues(look, this.#before)];
    this.#before = look;
    return { values };
  }

  async #look(library: Library, session: Session, signal: AbortSignal): Promise<Look> {
    const names = Object.keys(this.settings.oids);
    const asked = new Promise<Varbind[]>((resolve, reject) => {
      session.get(Object.values(this.settings.oids), (error, varbinds) =>
        error ? reject(error) : resolve((varbinds ?? []) as Varbind[]),
      );
    });
    const varbinds = await untilAborted(asked, signal);
    const answers = varbinds.slice(0, names.length).map((varbind, at): [string, Answer] => {
      const name = names[at] ?? '';
      return [name, readable(library, name, varbind)];
    });
    return { at: milliseconds(this.modules.clock.monotonic()), answers: new Map(answers) };
  }
}

function verdict(thrown: unknown, signal: AbortSignal): Measurement {
  const { name, message } = thrown as Error;
  if (name === 'RequestTimedOutError') return critical('no answer');
  // It would quote both.
  if (message.startsWith('Community ')) return critical('the device answers with another community');
  if (name === 'ResponseInvalidError' || name === 'RequestFailedError') return critical(`the device says: ${message}`);
  return verdictOn(thrown, signal);
}

export const snmp: SensorKind<SnmpSettings> = {
  ...description,
  create: (settings, modules) => new SnmpSensor(settings, modules),
};
