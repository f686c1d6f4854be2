// Whom the doctor looks at: a member by its data directory, a machine that is about to enrol by its token, or somebody who
// has nothing but an address.
import { join } from 'node:path';
import { TrustBundle } from '../../identity/certificates.js';
import { machineFingerprint } from '../../identity/machine-id.js';
import { roleFromProto } from '../../identity/spiffe.js';
import { uuidText } from '../../identity/uuid.js';
import { formatDuration, milliseconds } from '../../kernel/duration.js';
import { describe, Fault } from '../../kernel/fault.js';
import { silentLogger } from '../../kernel/log.js';
import { type MemberIdentity, readMembership } from '../../membership/machine-files.js';
import type { Terminal } from '../terminal.js';
import { readTokenFile } from '../token-file.js';
import { type Finding, failed, ok, warning } from './finding.js';

export interface Patient {
  readonly role: 'hub' | 'connector';
  readonly data: string;
  readonly member: MemberIdentity | undefined;
  /** host:port; undefined when nobody has named it. */
  readonly cloud: string | undefined;
  readonly trust: TrustBundle | undefined;
  readonly customerId: string | undefined;
  /** Connectors named by hand or by the token. */
  readonly connectors: readonly string[];
}

export interface PatientOptions {
  readonly role: 'hub' | 'connector';
  readonly data: string;
  readonly cloud: string | undefined;
  readonly tokenFile: string | undefined;
  readonly connectors: readonly string[];
}

const CHECK = 'membership';
const UNREADABLE = 'Check that --data is the directory of the service, and run this as its user or as root.';

/** Never rejects: what cannot be read is a finding. */
export async function admit(
  { role, data, cloud, tokenFile, connectors }: PatientOptions,
  terminal: Terminal,
): Promise<{ readonly patient: Patient; readonly findings: readonly Finding[] }> {
  const findings: Finding[] = [];
  const attempt = async <T>(read: () => Promise<T>): Promise<T | undefined> =>
    read().catch((thrown) => {
      findings.push(failed(CHECK, describe(thrown), thrown instanceof Fault ? thrown.advice : UNREADABLE));
      return undefined;
    });
  const directory = role === 'connector' ? join(data, 'connector') : data;
  const member = await attempt(async () => readMembership(directory, await machineFingerprint()));
  const token = await attempt(() => readTokenFile(tokenFile, terminal, silentLogger));
  const tokenTrust = token && (await attempt(async () => new TrustBundle(token.caCertificates)));
  const { identity } = member?.certificate ?? {};
  const patient: Patient = {
    ...{ role, data, member },
    cloud: cloud ?? member?.record.cloud ?? token?.cloud,
    trust: member?.trust ?? tokenTrust,
    customerId: identity?.customerId ?? (token && uuidText(token.customerId)),
    connectors: [...new Set([...connectors, ...(member?.record.connectors ?? token?.connectors ?? [])])],
  };
  if (member && identity) {
    findings.push(ok(CHECK, `${identity.role} ${identity.machineId} of the mesh "${identity.mesh}"`));
  } else if (token) {
    const left = token.expiresAtMs - terminal.clock.now();
    const wanted = roleFromProto(token.role);
    if (left <= 0) findings.push(failed(CHECK, 'the token has expired', 'Make another: occ tokens create.'));
    else if (wanted !== role)
      findings.push(
        failed(
          CHECK,
          `the token is for a ${wanted ?? 'machine of no role'}, not for a ${role}`,
          'Say --role, or make another token.',
        ),
      );
    else findings.push(ok(CHECK, `not enrolled yet; the token is good for ${formatDuration(milliseconds(left))}`));
  } else if (findings.length === 0) {
    findings.push(
      warning(
        CHECK,
        `no membership in ${data}, and ${tokenFile === undefined ? 'no token' : 'the token file does not exist'}`,
        'Name the data directory with --data, or a token with --token-file.',
      ),
    );
  }
  return { patient, findings };
}
