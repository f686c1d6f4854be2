// A small mesh for the tests of this folder: an authority and members of it.
import { type AuthorityModules, type IssueOptions, MeshAuthority } from '../../../src/identity/authority.js';
import type { MeshCertificate } from '../../../src/identity/certificates.js';
import { SigningKey } from '../../../src/identity/keys.js';
import type { MeshIdentity } from '../../../src/identity/spiffe.js';
import { systemRandom } from '../../../src/kernel/random.js';
import { FakeClock } from '../../support/fake-clock.js';

export const MESH = 'occ.example';
export const CUSTOMER = '0198b000-0000-7000-8000-00000000000c';
export const OTHER_CUSTOMER = '0198b000-0000-7000-8000-0000000000cc';
export const MACHINE = '0198b000-0000-7000-8000-000000000001';
export const OTHER_MACHINE = '0198b000-0000-7000-8000-000000000002';

export const HUB: MeshIdentity = { mesh: MESH, customerId: CUSTOMER, role: 'hub', machineId: MACHINE };
export const CONNECTOR: MeshIdentity = { ...HUB, role: 'connector', machineId: OTHER_MACHINE };
export const CLOUD: MeshIdentity = { mesh: MESH, customerId: '', role: 'cloud', machineId: MACHINE };

export interface Member {
  readonly key: SigningKey;
  readonly certificate: MeshCertificate;
}

export function modules(start?: number): AuthorityModules & { readonly clock: FakeClock } {
  return { clock: new FakeClock(start), random: systemRandom };
}

export const newAuthority = (mesh = MESH): Promise<MeshAuthority> => MeshAuthority.create(mesh, modules());

export async function member(
  authority: MeshAuthority,
  identity: MeshIdentity,
  options: Partial<IssueOptions> = {},
): Promise<Member> {
  const key = SigningKey.generate();
  return { key, certificate: await authority.issue({ identity, publicKey: key.publicKey, ...options }) };
}
