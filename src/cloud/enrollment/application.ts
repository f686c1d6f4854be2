// From what a machine sends to an application that can be decided: everything checked that does not need the inventory.
import type { EnrolRequest, IdentityRequest, MachineInfo } from '../../../gen/occmesh/enrollment/v1/enrollment.js';
import { verifyCsr } from '../../identity/csr.js';
import { verifySealingKey } from '../../identity/sealing-keys.js';
import { TOKEN_ID_LENGTH, TOKEN_SECRET_LENGTH } from '../../identity/secret-hash.js';
import { roleFromProto } from '../../identity/spiffe.js';
import { uuidText } from '../../identity/uuid.js';
import { Fault } from '../../kernel/fault.js';
import { plainLine } from '../../kernel/text.js';
import type { Applicant, Application } from '../inventory/verdict.js';

/** The request does not hold together. The message is for the machine's operator. */
export class BadRequest extends Fault<'enrollment.bad-request'> {
  constructor(message: string, cause?: unknown) {
    super('enrollment.bad-request', message, { permanent: true, cause });
  }
}

const MAX_INFO_BYTES = 256;
const MAX_IDENTITIES = 2;

/** Faults: enrollment.bad-request, identity.malformed. */
export async function readApplication(request: EnrolRequest): Promise<Application> {
  if (request.tokenId.length !== TOKEN_ID_LENGTH || request.secret.length !== TOKEN_SECRET_LENGTH) {
    throw new BadRequest('The request holds no whole token.');
  }
  if (request.identities.length < 1 || request.identities.length > MAX_IDENTITIES) {
    throw new BadRequest(`A machine has one or two identities, not ${request.identities.length}.`);
  }
  const applicants: Applicant[] = [];
  for (const identity of request.identities) applicants.push(await readApplicant(identity));
  return { tokenId: uuidText(request.tokenId), secret: request.secret, applicants, info: readInfo(request.info) };
}

async function readApplicant(request: IdentityRequest): Promise<Applicant> {
  const role = roleFromProto(request.role);
  if (role !== 'hub' && role !== 'connector') throw new BadRequest('An identity is that of a hub or a connector.');
  const key = await verifyCsr(request.csr);
  if (role === 'connector') {
    if (request.sealingKey.length > 0) throw new BadRequest('A connector has no sealing key.');
    return { role, key, sealing: undefined };
  }
  if (!verifySealingKey(key, request.sealingKey, request.sealingKeySignature)) {
    throw new BadRequest('The statement about the sealing key is not signed by the identity key.');
  }
  return { role, key, sealing: { key: request.sealingKey, signature: request.sealingKeySignature } };
}

function readInfo(info: MachineInfo | undefined): Application['info'] {
  const read = (field: keyof MachineInfo): string => {
    const text = info?.[field] ?? '';
    if (Buffer.byteLength(text) > MAX_INFO_BYTES)
      throw new BadRequest(`${field} is longer than ${MAX_INFO_BYTES} bytes.`);
    return plainLine(text);
  };
  return {
    hostname: read('hostname'),
    os: read('os'),
    osVersion: read('osVersion'),
    arch: read('arch'),
    fingerprint: read('fingerprint'),
    software: read('software'),
  };
}
