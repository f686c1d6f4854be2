// How a membership begins: whether a token lets these keys in, and recording them. One rule, `judge`, is asked twice:
// before certificates are issued, and again inside the transaction that takes a use of the token.
import type { MeshCertificate } from '../../identity/certificates.js';
import type { VerifyKey } from '../../identity/keys.js';
import { secretMatches } from '../../identity/secret-hash.js';
import { uuidText } from '../../identity/uuid.js';
import type { Clock } from '../../kernel/clock.js';
import { defined } from '../../kernel/defined.js';
import type { EpochMs } from '../../kernel/duration.js';
import { type Random, uuid7 } from '../../kernel/random.js';
import type { Journal } from '../records/journal.js';
import { bumped } from './desired-state.js';
import { notFound } from './faults.js';
import { replacedKeysOf } from './machines.js';
import { certificateFields, type EnrollmentTokenRecord, type MachineRecord, type MachineRole } from './records.js';
import type { Revocations } from './revocations.js';
import { voidSecrets } from './secret-fields.js';
import { addSensors, type NewSensor } from './sensors.js';
import type { Tables } from './tables.js';

/** One identity that asks to be let in; it has proved that it holds `key`. */
export interface Applicant {
  readonly role: MachineRole;
  readonly key: VerifyKey;
  /** Of a hub: its sealing key and its verified statement about it. */
  readonly sealing: { readonly key: Uint8Array; readonly signature: Uint8Array } | undefined;
}

export interface Application {
  readonly tokenId: string;
  readonly secret: Uint8Array;
  readonly applicants: readonly Applicant[];
  readonly info: MachineRecord['info'];
}

export type RefusalCode = 'unknown-token' | 'expired' | 'used-up' | 'wrong-role' | 'bad-request' | 'revoked';

export interface Refusal {
  readonly kind: 'refused';
  readonly code: RefusalCode;
  /** In words, with the next step. */
  readonly message: string;
}

export type Verdict =
  | Refusal
  /** These keys are members already, in the order asked for; `newUse` when not by this token. */
  | { readonly kind: 'known'; readonly token: EnrollmentTokenRecord; machines: MachineRecord[]; newUse: boolean }
  | { readonly kind: 'new'; readonly token: EnrollmentTokenRecord }
  /** A machine that was installed anew, in the order asked for. */
  | { readonly kind: 'returning'; readonly token: EnrollmentTokenRecord; readonly machines: MachineRecord[] };

export type Admitted = { readonly kind: 'admitted'; readonly machines: readonly MachineRecord[] };

/** What to put into a certificate. */
export interface Place {
  readonly machineId: string;
  readonly customerId: string;
  readonly role: MachineRole;
}

export interface AdmissionModules {
  readonly journal: Journal<Tables>;
  readonly revocations: Revocations;
  readonly clock: Clock;
  readonly random: Random;
}

export class Admission {
  readonly #tables: Tables;
  readonly #onReplaced = new Set<(machineId: string) => void>();

  constructor(
    private readonly options: { readonly defaultSensors: readonly NewSensor[] },
    private readonly modules: AdmissionModules,
  ) {
    this.#tables = modules.journal.tables;
  }

  /**
   * Lets the applicants in. The same keys get the same ids and their last certificate, however often they ask; that takes
   * one use of the token. (A certificate that has expired since is good enough to renew it.) `issue` makes a certificate; nothing is recorded if it fails. Faults: storage.*.
   */
  async admit(
    application: Application,
    issue: (place: Place, key: VerifyKey) => Promise<MeshCertificate>,
  ): Promise<Admitted | Refusal> {
    const first = this.#judge(application);
    if (first.kind === 'refused') return first;
    if (first.kind === 'known' && !first.newUse) return { kind: 'admitted', machines: first.machines };
    const { clock, random, journal } = this.modules;
    const { customerId } = first.token;
    const places = application.applicants.map((applicant, i) => {
      const machineId = first.kind === 'returning' ? first.machines[i]?.id : uuidText(uuid7(random, clock.now()));
      return { applicant, place: { machineId: machineId ?? '', customerId, role: applicant.role } };
    });
    const members: NewMember[] = [];
    // A token's new use by keys that are members needs no certificates: they have theirs.
    for (const { applicant, place } of first.kind === 'known' ? [] : places) {
      members.push({ applicant, place, certificate: await issue(place, applicant.key) });
    }
    const outcome = await journal.transact((): Admitted | Refusal => {
      const verdict = this.#judge(application);
      if (verdict.kind === 'refused') return verdict;
      const { token } = verdict;
      if (verdict.kind === 'known') {
        if (verdict.newUse) {
          this.#tables.tokens.put({ ...token, used: token.used + 1 });
          for (const machine of verdict.machines) this.#tables.machines.put({ ...machine, enrolledBy: token.id });
        }
        return { kind: 'admitted', machines: verdict.machines };
      }
      this.#tables.tokens.put({ ...token, used: token.used + 1 });
      const { info } = application;
      const machines =
        verdict.kind === 'new'
          ? this.#record(members, token, info)
          : this.#takeBack(members, verdict.machines, token, info);
      return { kind: 'admitted', machines };
    });
    if (outcome.kind === 'admitted') await this.#revokeReplaced(outcome.machines);
    return outcome;
  }

  /** Called with a machine's id when it has come back with other keys: whoever had the old ones is somebody else. */
  onReplaced(listener: (machineId: string) => void): () => void {
    this.#onReplaced.add(listener);
    return () => this.#onReplaced.delete(listener);
  }

  /** A crash before this is made good at the next start. */
  async #revokeReplaced(machines: readonly MachineRecord[]): Promise<void> {
    const { revocations } = this.modules;
    const replaced = machines.flatMap((machine) => replacedKeysOf(machine) ?? []);
    const fresh = replaced.filter(({ keyIds }) =>
      keyIds.some((keyId) => !revocations.hasKey(Buffer.from(keyId, 'hex'))),
    );
    if (fresh.length === 0) return;
    await revocations.add(fresh);
    for (const { replacedOf } of fresh) for (const listener of [...this.#onReplaced]) listener(replacedOf);
  }

  /** The same machines with other keys: id, name, sensors and history stay; what was sealed to the old key is void. */
  #takeBack(
    members: readonly NewMember[],
    machines: readonly MachineRecord[],
    token: EnrollmentTokenRecord,
    info: MachineRecord['info'],
  ): MachineRecord[] {
    const now = this.modules.clock.now();
    return machines.map((old, i) => {
      const member = members[i];
      if (!member) throw new TypeError('a machine without an applicant');
      const { keys, sealing, enrolledBy, certificate, certificateExpiresAtMs, certificateIssuer } = newMachine(
        member,
        old.companionId,
        token,
        info,
        now,
      );
      // Whatever was odd about it has gone with its keys.
      const { quarantined: _, rotating: __, sealing: ___, ...rest } = old;
      voidSecrets(this.#tables, old.id, () => true, 'key-lost');
      const replaced = old.keys.map((key) => ({ ...key, replacedAtMs: key.replacedAtMs ?? now }));
      const next: MachineRecord = {
        ...rest,
        ...defined({ sealing, enrolledBy, certificateIssuer }),
        info,
        certificate,
        certificateExpiresAtMs,
        keys: [...replaced, ...keys],
      };
      return this.#tables.machines.put(old.role === 'hub' ? bumped(next) : next);
    });
  }

  /** Notes the certificate that a machine got by renewal. Faults: inventory.not-found. */
  renewed(machineId: string, certificate: MeshCertificate): Promise<MachineRecord> {
    return this.modules.journal.transact(() => {
      const machine = this.#tables.machines.latest(machineId);
      if (!machine) throw notFound('machine');
      return this.#tables.machines.put({
        ...machine,
        ...certificateFields(certificate),
      });
    });
  }

  #record(members: readonly NewMember[], token: EnrollmentTokenRecord, info: MachineRecord['info']): MachineRecord[] {
    const now = this.modules.clock.now();
    for (const member of members) {
      const companion = members.find((other) => other !== member);
      const record = this.#tables.machines.put(newMachine(member, companion?.place.machineId, token, info, now));
      if (record.role === 'hub') addSensors(this.#tables, record, this.options.defaultSensors);
    }
    return members.flatMap(({ place }) => this.#tables.machines.latest(place.machineId) ?? []);
  }

  #judge(application: Application): Verdict {
    const { clock, revocations } = this.modules;
    return judge(this.#tables, application, clock.now(), revocations);
  }
}

interface NewMember {
  readonly applicant: Applicant;
  readonly place: Place;
  readonly certificate: MeshCertificate;
}

function newMachine(
  { applicant, place, certificate }: NewMember,
  companionId: string | undefined,
  token: EnrollmentTokenRecord,
  info: MachineRecord['info'],
  now: EpochMs,
): MachineRecord {
  const { key, sealing } = applicant;
  return {
    v: 1,
    id: place.machineId,
    customerId: place.customerId,
    role: place.role,
    name: info.hostname.slice(0, 64) || `${place.role} ${place.machineId.slice(-12)}`,
    info,
    keys: [{ keyId: key.keyId.toString('hex'), spki: key.spki.toString('base64'), fromMs: now }],
    ...(sealing ? { sealing: { key: base64(sealing.key), signature: base64(sealing.signature) } } : {}),
    ...certificateFields(certificate),
    ...defined({ companionId }),
    enrolledAtMs: now,
    enrolledBy: token.id,
    configVersion: 0,
    running: { version: 0, error: '', failures: [] },
    lanAddresses: [],
  };
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

/** Whether a token lets these keys in. Reads the latest state; changes nothing. */
function judge(tables: Tables, application: Application, now: EpochMs, revocations: Revocations): Verdict {
  const { applicants } = application;
  const token = tables.tokens.latest(application.tokenId);
  if (token?.kind !== 'enrollment' || !secretMatches(application.secret, Buffer.from(token.secretHash, 'hex'))) {
    return refused('unknown-token', 'The cloud does not know this token. Make a new one, and copy it whole.');
  }
  if (token.revokedAtMs !== undefined || revocations.hasToken(token.id)) {
    return refused('unknown-token', 'This token has been revoked. Make a new one.');
  }
  const wanted = token.role === 'hub' ? 'hub' : 'connector+hub';
  if (
    applicants
      .map((one) => one.role)
      .sort()
      .join('+') !== wanted
  ) {
    return refused('wrong-role', `This token is for a ${token.role}. Make one for the role that this machine has.`);
  }
  const keyIds = applicants.map((one) => one.key.keyId.toString('hex'));
  if (new Set(keyIds).size !== keyIds.length) {
    return refused(
      'bad-request',
      'Connector and hub need a key each. Reset the identity of this machine and try again.',
    );
  }
  if (applicants.some((one) => revocations.hasKey(one.key.keyId))) return RETIRED;
  const returning = returningOf(tables, token, applicants);
  if (returning?.some((machine) => machine === undefined || machine.retiredAtMs !== undefined)) return RETIRED;
  const known = keyIds.flatMap((keyId) => tables.machines.latestByAlias(keyId) ?? []);
  if (known.some((machine) => machine.retiredAtMs !== undefined)) return RETIRED;
  if (known.length > 0) {
    const asMeant = !returning || known.every((machine, i) => machine.id === returning[i]?.id);
    if (!asMeant || !applicants.every((one, i) => isSame(one, known[i], token))) {
      return refused('bad-request', 'A key of this machine is in use already, but not like this. Reset its identity.');
    }
    // An answer that was lost: no new use, so that neither the end of the token nor of its uses matters.
    if (known.every((machine) => machine.enrolledBy === token.id)) {
      return { kind: 'known', token, machines: known, newUse: false };
    }
  }
  if (token.expiresAtMs !== 0 && now >= token.expiresAtMs) {
    const when = new Date(token.expiresAtMs).toISOString();
    return refused('expired', `This token expired at ${when} by the clock of the cloud. Make a new one.`);
  }
  if (token.used >= token.uses) {
    return refused('used-up', `All ${token.uses} uses of this token are taken. Make a new one.`);
  }
  if (known.length > 0) return { kind: 'known', token, machines: known, newUse: true };
  return returning
    ? { kind: 'returning', token, machines: returning.flatMap((one) => one ?? []) }
    : { kind: 'new', token };
}

/** The machines that may come back with a token, in the order of the applicants; undefined when it is for new ones. */
function returningOf(
  tables: Tables,
  token: EnrollmentTokenRecord,
  applicants: readonly Applicant[],
): (MachineRecord | undefined)[] | undefined {
  if (token.machineId === undefined) return undefined;
  const machine = tables.machines.latest(token.machineId);
  const companion = machine?.companionId === undefined ? undefined : tables.machines.latest(machine.companionId);
  return applicants.map(({ role }) => (machine?.role === role ? machine : companion));
}

/** The whole key and not only its id; and the sealing key, which a replayed request must not be able to exchange. */
function isSame(applicant: Applicant, machine: MachineRecord | undefined, token: EnrollmentTokenRecord): boolean {
  if (!machine || machine.customerId !== token.customerId || machine.role !== applicant.role) return false;
  const spki = applicant.key.spki.toString('base64');
  if (!machine.keys.some((key) => key.spki === spki)) return false;
  return machine.sealing === undefined || machine.sealing.key === base64(applicant.sealing?.key ?? Buffer.alloc(0));
}

function refused(code: RefusalCode, message: string): Refusal {
  return { kind: 'refused', code, message };
}

const RETIRED = refused(
  'revoked',
  'This machine has been retired. To let it in again, reset its identity and enrol it with a new token.',
);
