// Who a certificate speaks for, as a SPIFFE id (https://github.com/spiffe/spiffe, standards/SPIFFE-ID.md):
//   spiffe://<mesh>/customer/<customer>/hub/<machine>
//   spiffe://<mesh>/customer/<customer>/connector/<machine>
//   spiffe://<mesh>/cloud/<node>
// Parsing is strict: exactly these forms, so that no two texts mean the same identity.
import { Role } from '../../gen/occmesh/enrollment/v1/enrollment.js';
import { malformed } from './fault.js';
import { isUuid } from './uuid.js';

export type MeshRole = 'hub' | 'connector' | 'cloud';

export interface MeshIdentity {
  /** The trust domain: which mesh. */
  readonly mesh: string;
  /** UUID in text; empty for a cloud node, which belongs to no customer. */
  readonly customerId: string;
  readonly role: MeshRole;
  /** UUID in text: the machine, or the cloud node. */
  readonly machineId: string;
}

// A trust domain (SPIFFE-ID section 2.1); at most 255 bytes.
const MESH = /^[a-z0-9._-]{1,255}$/;
const MEMBER = /^spiffe:\/\/([^/]+)\/customer\/([^/]+)\/(hub|connector)\/([^/]+)$/;
const CLOUD = /^spiffe:\/\/([^/]+)\/cloud\/([^/]+)$/;

/** True when `name` can name a mesh: lower-case letters, digits, dot, hyphen, underscore. */
export const isMeshName = (name: string): boolean => MESH.test(name);

/** Faults: identity.malformed when a part is not what it must be. */
export function spiffeUri(identity: MeshIdentity): string {
  const { mesh, customerId, role, machineId } = identity;
  const uri =
    role === 'cloud'
      ? `spiffe://${mesh}/cloud/${machineId}`
      : `spiffe://${mesh}/customer/${customerId}/${role}/${machineId}`;
  const back = parseSpiffe(uri);
  if (back.customerId !== customerId) throw malformed('a cloud node belongs to no customer');
  return uri;
}

/** Faults: identity.malformed. */
export function parseSpiffe(uri: string): MeshIdentity {
  const member = MEMBER.exec(uri);
  const cloud = member ? undefined : CLOUD.exec(uri);
  const [mesh = '', customerId = '', role = '', machineId = ''] = member
    ? member.slice(1)
    : [cloud?.[1], '', 'cloud', cloud?.[2]];
  const sound = isMeshName(mesh) && isUuid(machineId) && (role === 'cloud' || isUuid(customerId));
  if (!sound) throw malformed(`not an identity of a mesh: ${JSON.stringify(uri.slice(0, 200))}`);
  return { mesh, customerId, role: role as MeshRole, machineId };
}

const ROLES = { hub: Role.HUB, connector: Role.CONNECTOR, cloud: Role.CLOUD } as const;

/** The role as the contract's enum. */
export const roleToProto = (role: MeshRole): Role => ROLES[role];

/** Undefined for an unspecified or unknown role. */
export function roleFromProto(role: Role): MeshRole | undefined {
  return (Object.keys(ROLES) as MeshRole[]).find((name) => ROLES[name] === role);
}
