// Everything the inventory keeps in the store, as schemas, in one place. Records are JSON. Each states with `v` the
// version of its form, and each field below the program version it was born in (0.1 unless it says otherwise). A field
// is never reused with another meaning; a form that an older program would misread gets the next `v`.
import { z } from 'zod';
import type { MeshCertificate } from '../../identity/certificates.js';

const id = z.string().regex(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
const time = z.int();
const base64 = z.base64();

export const customerSchema = z.object({
  v: z.literal(1),
  id,
  name: z.string(),
  directAllowed: z.boolean(),
  fallbackAfterMs: z.int().positive(),
  createdAtMs: time,
  /** Absent: the default, also where that changes. */
  rawRetentionMs: z.int().positive().optional(),
  summaryRetentionMs: z.int().positive().optional(),
});
export type CustomerRecord = Readonly<z.infer<typeof customerSchema>>;

export const machineSchema = z.object({
  v: z.literal(1),
  id,
  customerId: id,
  role: z.enum(['hub', 'connector']),
  name: z.string(),
  /** What it said of itself when it enrolled. */
  info: z.object({
    hostname: z.string(),
    os: z.string(),
    osVersion: z.string(),
    arch: z.string(),
    fingerprint: z.string(),
    software: z.string(),
  }),
  /** Every identity key it ever had, oldest first: batches are verified against all of them. */
  keys: z
    .array(
      z.object({
        keyId: z.string().regex(/^[0-9a-f]{16}$/),
        spki: base64,
        fromMs: time,
        /** It enrolled anew with another one: this one is revoked. */
        replacedAtMs: time.optional(),
      }),
    )
    .min(1),
  /** X25519, and the statement of its identity key about it. Absent for a connector and for a machine re-adopted. */
  sealing: z.object({ key: base64, signature: base64 }).optional(),
  /** The last certificate issued, DER: repeated requests get it again. */
  certificate: base64,
  certificateExpiresAtMs: time,
  /** Name of the mesh CA that signed it. Absent in records that are older than this field. */
  certificateIssuer: z.string().optional(),
  /** The connector of this embedded hub, or the embedded hub of this connector. */
  companionId: id.optional(),
  enrolledAtMs: time,
  /** The token it enrolled with. Absent for a machine re-adopted. */
  enrolledBy: id.optional(),
  retiredAtMs: time.optional(),
  /** Why nothing is given out to it. */
  quarantined: z.string().optional(),
  /** It has been asked to replace its sealing key. */
  rotating: z.literal(true).optional(),
  /** Absent: as the customer says. */
  directAllowed: z.boolean().optional(),
  /** That it is gone is no alarm. Absent: it is. */
  maySleep: z.boolean().optional(),
  /** Version of its desired state; rises for ever. */
  configVersion: z.int().nonnegative(),
  /** As it reported last. */
  running: z.object({
    version: z.int().nonnegative(),
    error: z.string(),
    failures: z.array(z.object({ sensor: z.int(), error: z.string() })),
    /** Secrets that it will not use; `problem` is a link.v1.SecretProblem. */
    secretFailures: z
      .array(z.object({ sensor: z.int(), field: z.string(), version: z.int(), problem: z.int() }))
      .optional(),
  }),
  /** Of a connector: where hubs reach it, host:port, sorted. */
  lanAddresses: z.array(z.string()),
});
export type MachineRecord = Readonly<z.infer<typeof machineSchema>>;
export type MachineRole = MachineRecord['role'];

/** What a record says of a certificate that this mesh's CA has signed. */
export const certificateFields = ({ der, notAfter, issuer }: MeshCertificate) => ({
  certificate: der.toString('base64'),
  certificateExpiresAtMs: notAfter,
  certificateIssuer: issuer,
});

export const DEFAULT_ATTEMPTS = 3;

const thresholdSchema = z.object({ metric: z.string(), warning: z.string(), critical: z.string() });

export const sensorSchema = z.object({
  v: z.literal(1),
  machineId: id,
  /** Its machine's customer: part of the key. */
  customerId: id,
  number: z.int().positive(),
  name: z.string(),
  kind: z.string(),
  settings: z.record(z.string(), z.json()),
  intervalMs: z.int().positive(),
  timeoutMs: z.int().positive(),
  thresholds: z.array(thresholdSchema),
  paused: z.boolean(),
  /** How many bad readings in a row are believed. Absent: DEFAULT_ATTEMPTS. */
  attempts: z.int().positive().optional(),
});
export type SensorRecord = Readonly<z.infer<typeof sensorSchema>>;

/** A secret of a sensor. Its plaintext is in no record. */
export const secretSchema = z.object({
  v: z.literal(1),
  machineId: id,
  /** Its machine's customer: part of the key. */
  customerId: id,
  /** The sensor's number. */
  sensor: z.int().positive(),
  field: z.string(),
  version: z.int().positive(),
  /** Whoever it was entered for. */
  target: z.record(z.string(), z.string()),
  enteredAtMs: time,
  /** As it goes to the hub; gone once it is void. `keyId`: of the sealing key, hex. */
  sealed: z.object({ keyId: z.string(), encapsulatedKey: base64, ciphertext: base64 }).optional(),
  /** Why it must be entered again. */
  void: z.enum(['target-changed', 'key-lost']).optional(),
});
export type SecretRecord = Readonly<z.infer<typeof secretSchema>>;

const tokenBase = {
  v: z.literal(1),
  id,
  name: z.string(),
  /** SHA-256 of the secret, hex. */
  secretHash: z.string().regex(/^[0-9a-f]{64}$/),
  createdAtMs: time,
  /** 0: never. */
  expiresAtMs: time,
  revokedAtMs: time.optional(),
};

export const tokenSchema = z.discriminatedUnion('kind', [
  z.object({
    ...tokenBase,
    kind: z.literal('enrollment'),
    customerId: id,
    role: z.enum(['hub', 'connector']),
    uses: z.int().positive(),
    /** The machine that may come back with it; absent for new ones. */
    machineId: id.optional(),
    /** How many are taken; by whom says MachineRecord.enrolledBy. */
    used: z.int().nonnegative(),
  }),
  z.object({
    ...tokenBase,
    kind: z.literal('api'),
    /** Absent for an operator, and for a service of all customers. */
    customerId: id.optional(),
    caller: z.enum(['operator', 'customer-admin', 'customer-reader', 'service']),
    /** Numbers of the contract; of services only. */
    scopes: z.array(z.int().positive()).optional(),
    lastUsedAtMs: time.optional(),
  }),
]);
export type TokenRecord = Readonly<z.infer<typeof tokenSchema>>;
export type EnrollmentTokenRecord = Extract<TokenRecord, { kind: 'enrollment' }>;
export type ApiTokenRecord = Extract<TokenRecord, { kind: 'api' }>;
