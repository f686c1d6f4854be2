// Enrolment as the fake cloud does it: one token for one hub, which it knows.
import {
  EnrolAnswer,
  EnrollmentFailureCode,
  type EnrollmentToken,
  EnrolRequest,
  RenewAnswer,
  RenewRequest,
  Role,
  type Sealed,
  type SealedAnswer,
} from '../../../gen/occmesh/enrollment/v1/enrollment.js';
import type { PlayedHub } from '../../../src/conformance/bench.js';
import { ContractFault } from '../../../src/contract/fault.js';
import type { MeshAuthority } from '../../../src/identity/authority.js';
import { verifyCsr } from '../../../src/identity/csr.js';
import { openRequest } from '../../../src/identity/enrollment-envelope.js';
import type { VerifyKey } from '../../../src/identity/keys.js';
import { SealingKeyPair } from '../../../src/identity/sealing-keys.js';
import { uuidText } from '../../../src/identity/uuid.js';
import { systemRandom } from '../../../src/kernel/random.js';
import { CUSTOMER, MESH } from '../identity/fixtures.js';
import type { Flaw } from './fake-target.js';

export class FakeEnrollment {
  readonly #pair = SealingKeyPair.generate();
  readonly #secret = systemRandom.bytes(32);

  constructor(
    private readonly authority: MeshAuthority,
    private readonly hub: PlayedHub,
    private readonly flaw: Flaw | undefined,
  ) {}

  /** With which the hub has enrolled. */
  get token(): Pick<EnrollmentToken, 'enrollmentKey' | 'tokenId' | 'secret'> {
    return { enrollmentKey: this.#pair.publicKey, tokenId: Buffer.alloc(16, 1), secret: this.#secret };
  }

  async answer(method: 'enrol' | 'renew', sealed: Sealed): Promise<SealedAnswer> {
    const opened = await openRequest(this.#pair, method === 'enrol' ? 'Enrol' : 'Renew', sealed).catch((cause) => {
      if (this.flaw === 'garbage is answered') return undefined;
      throw new ContractFault('contract.invalid', 'it cannot be opened', { cause });
    });
    if (!opened) return { ciphertext: systemRandom.bytes(100) };
    if (method === 'renew') return opened.sealAnswer(await this.#renew(RenewRequest.decode(opened.content)));
    const result = await this.#enrol(EnrolRequest.decode(opened.content));
    return opened.sealAnswer(EnrolAnswer.encode({ result }).finish());
  }

  async #enrol({ secret, identities: [wanted] }: EnrolRequest): Promise<EnrolAnswer['result']> {
    const code = EnrollmentFailureCode;
    const fails = (why: EnrollmentFailureCode) =>
      ({ $case: 'failure', value: { code: why, message: 'no' } }) satisfies EnrolAnswer['result'];
    const isKnown = this.#secret.equals(secret) || this.flaw === 'any secret';
    if (!isKnown) return fails(code.UNKNOWN_TOKEN);
    const key = keyOf(wanted?.csr);
    if (!key && this.flaw !== 'any CSR') return fails(code.BAD_REQUEST);
    const isHubs = key?.equals(this.hub.key.publicKey) ?? false;
    if (!isHubs && key && this.flaw !== 'tokens without end') return fails(code.USED_UP);
    const machineId = this.flaw === 'another machine each time' ? systemRandom.bytes(16) : this.hub.machineId;
    const identities = [await this.#issue(key ?? this.hub.key.publicKey, machineId)];
    return { $case: 'membership', value: { identities, caCertificates: [...this.authority.bundle.ders] } };
  }

  async #renew({ csr, machineId }: RenewRequest): Promise<Uint8Array> {
    const key = keyOf(csr);
    const isHubs = key?.equals(this.hub.key.publicKey) || this.flaw === 'renewed for anybody';
    const result: RenewAnswer['result'] =
      key && isHubs
        ? { $case: 'identity', value: await this.#issue(key, Buffer.from(machineId)) }
        : { $case: 'failure', value: { code: EnrollmentFailureCode.BAD_REQUEST, message: 'no' } };
    return RenewAnswer.encode({ result }).finish();
  }

  async #issue(publicKey: VerifyKey, machineId: Buffer) {
    const identity = { mesh: MESH, customerId: CUSTOMER, role: 'hub', machineId: uuidText(machineId) } as const;
    const { der } = await this.authority.issue({ identity, publicKey });
    return { role: Role.HUB, machineId, customerId: Buffer.alloc(16), certificate: der };
  }
}

function keyOf(csr: Uint8Array | undefined): VerifyKey | undefined {
  try {
    return csr && verifyCsr(csr);
  } catch {
    return undefined;
  }
}
