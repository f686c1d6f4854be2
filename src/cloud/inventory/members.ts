// The records of machines that are let in: new ones, and those that come back with other keys.
import type { MeshCertificate } from '../../identity/certificates.js';
import { base64 } from '../../kernel/bytes.js';
import { defined } from '../../kernel/defined.js';
import type { EpochMs } from '../../kernel/duration.js';
import { plainLine } from '../../kernel/text.js';
import { bumped } from './desired-state.js';
import { certificateFields, type EnrollmentTokenRecord, type MachineRecord, type MachineRole } from './records.js';
import { voidSecrets } from './secret-fields.js';
import type { Tables } from './tables.js';
import type { Applicant } from './verdict.js';

/** What to put into a certificate. */
export interface Place {
  readonly machineId: string;
  readonly customerId: string;
  readonly role: MachineRole;
}

/** An applicant that is let in. */
export interface NewMember {
  readonly applicant: Applicant;
  readonly place: Place;
  readonly certificate: MeshCertificate;
}

export function newMachine(
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
    name: plainLine(info.hostname, 64) || `${place.role} ${place.machineId.slice(-12)}`,
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

/**
 * Inside a transaction: a machine with other keys. Id, name, sensors and history stay; what was sealed to the old key is
 * void, and whatever was odd about it has gone with its keys.
 */
export function takeBack(
  tables: Tables,
  old: MachineRecord,
  member: NewMember,
  token: EnrollmentTokenRecord,
  info: MachineRecord['info'],
  now: EpochMs,
): MachineRecord {
  const fresh = newMachine(member, old.companionId, token, info, now);
  const { keys, sealing, enrolledBy, certificate, certificateExpiresAtMs, certificateIssuer } = fresh;
  const { quarantined: _, rotating: __, sealing: ___, ...rest } = old;
  voidSecrets(tables, old.id, () => true, 'key-lost');
  const replaced = old.keys.map((key) => ({ ...key, replacedAtMs: key.replacedAtMs ?? now }));
  const next: MachineRecord = {
    ...rest,
    ...defined({ sealing, enrolledBy, certificateIssuer }),
    info,
    certificate,
    certificateExpiresAtMs,
    keys: [...replaced, ...keys],
  };
  return tables.machines.put(old.role === 'hub' ? bumped(next) : next);
}
