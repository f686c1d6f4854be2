// Whether a token lets these keys in, and as whom.
import type { VerifyKey } from '../../identity/keys.js';
import { secretMatches } from '../../identity/secret-hash.js';
import { base64 } from '../../kernel/bytes.js';
import type { Clock } from '../../kernel/clock.js';
import type { EnrollmentTokenRecord, MachineRecord, MachineRole } from './records.js';
import type { Revocations } from './revocations.js';
import { machineCount, type Tables } from './tables.js';

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

export type RefusalCode =
  | 'unknown-token'
  | 'expired'
  | 'used-up'
  | 'wrong-role'
  | 'bad-request'
  | 'revoked'
  | 'too-many';

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

export interface VerdictModules {
  readonly revocations: Revocations;
  readonly clock: Clock;
  readonly mostMachines: number;
}

/** Whether a token lets these keys in. Reads the latest state; changes nothing. */
export function judge(tables: Tables, application: Application, modules: VerdictModules): Verdict {
  const { revocations, mostMachines } = modules;
  const now = modules.clock.now();
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
    return refused(
      'used-up',
      `This token was for ${token.uses === 1 ? 'one machine, which has' : `${token.uses} machines, which have`} come. Make a new one.`,
    );
  }
  if (known.length > 0) return { kind: 'known', token, machines: known, newUse: true };
  if (returning) return { kind: 'returning', token, machines: returning.flatMap((one) => one ?? []) };
  const count = machineCount(tables, token.customerId);
  if (count + applicants.length > mostMachines) {
    return refused('too-many', `This customer has ${count} machines, and no more than ${mostMachines} can be.`);
  }
  return { kind: 'new', token };
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
