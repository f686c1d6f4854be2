// Rules of enrolment: what a token is good for, and for whom.
import {
  EnrollmentFailureCode,
  type EnrollmentToken,
  type EnrolRequest,
  RenewAnswer,
  RenewRequest,
  Role,
} from '../../../gen/occmesh/enrollment/v1/enrollment.js';
import { ContractFault } from '../../contract/fault.js';
import { createCsr } from '../../identity/csr.js';
import { sealRequest } from '../../identity/enrollment-envelope.js';
import { SigningKey } from '../../identity/keys.js';
import { systemRandom } from '../../kernel/random.js';
import type { Bench, PlayedHub } from '../bench.js';
import { askEnrol, newKeys } from '../enrol.js';
import { Broken, type Rule, require, rule } from '../rule.js';

function tokenOf({ token }: Bench): EnrollmentToken {
  if (!token) throw new Error('the rule needs a token');
  return token;
}

const ask = (bench: Bench, keys: Pick<PlayedHub, 'key' | 'sealingKey'>, change?: Partial<EnrolRequest>) =>
  askEnrol(bench.target, tokenOf(bench), keys, change);

async function fails(code: EnrollmentFailureCode, answer: ReturnType<typeof ask>): Promise<void> {
  const result = await answer;
  const seen = result?.$case === 'failure' ? EnrollmentFailureCode[result.value.code] : 'a membership';
  require(seen === EnrollmentFailureCode[code], `expected ${EnrollmentFailureCode[code]}, got ${seen}`);
}

export const ENROLLMENT: readonly Rule[] = [
  rule(
    'enrollment.same-key',
    'enrollment.v1.EnrollmentService.Enrol',
    'The same token with the same key gives the same identity: a retry is safe.',
    async (bench) => {
      const result = await ask(bench, bench.hub);
      require(result?.$case === 'membership', 'it was refused');
      const id = Buffer.from(result.value.identities[0]?.machineId ?? []);
      require(id.equals(bench.hub.machineId), 'it gave another machine');
    },
    'token',
  ),
  rule(
    'enrollment.used-up',
    'enrollment.v1.EnrollmentFailureCode.ENROLLMENT_FAILURE_CODE_USED_UP',
    'A token that is used up is refused to another key.',
    (bench) => fails(EnrollmentFailureCode.USED_UP, ask(bench, newKeys())),
    'token',
  ),
  rule(
    'enrollment.secret',
    'enrollment.v1.EnrollmentFailureCode.ENROLLMENT_FAILURE_CODE_UNKNOWN_TOKEN',
    'A token with a wrong secret is unknown.',
    (bench) => fails(EnrollmentFailureCode.UNKNOWN_TOKEN, ask(bench, bench.hub, { secret: systemRandom.bytes(32) })),
    'token',
  ),
  rule(
    'enrollment.proof',
    'enrollment.v1.EnrollmentFailureCode.ENROLLMENT_FAILURE_CODE_BAD_REQUEST',
    'A request whose CSR does not hold together is refused.',
    (bench) =>
      fails(
        EnrollmentFailureCode.BAD_REQUEST,
        ask(bench, bench.hub, {
          identities: [
            {
              role: Role.HUB,
              csr: systemRandom.bytes(64),
              sealingKey: systemRandom.bytes(32),
              sealingKeySignature: systemRandom.bytes(70),
            },
          ],
        }),
      ),
    'token',
  ),
  rule(
    'enrollment.garbage',
    'enrollment.v1.EnrollmentService.Enrol',
    'What cannot be opened ends with INVALID_ARGUMENT.',
    async (bench) => {
      const sealed = { encapsulatedKey: systemRandom.bytes(32), ciphertext: systemRandom.bytes(200) };
      const thrown = await bench.target.enrol('enrol', sealed).then(
        () => new Broken('it was answered'),
        (fault: unknown) => fault,
      );
      if (thrown instanceof ContractFault && thrown.code === 'contract.invalid') return;
      throw thrown instanceof Broken ? thrown : new Broken(`it ended with ${String(thrown)}`);
    },
  ),
  rule(
    'enrollment.renew',
    'enrollment.v1.EnrollmentService.Renew',
    'A known key gets a new certificate for the same machine, and nobody else does.',
    async (bench) => {
      const token = tokenOf(bench);
      const { hub } = bench;
      for (const key of [hub.key, SigningKey.generate()]) {
        const request = RenewRequest.encode({
          ...{ csr: await createCsr(key), machineId: hub.machineId, certificate: hub.certificate },
        }).finish();
        const sealed = await sealRequest(token.enrollmentKey, 'Renew', request);
        const answer = await sealed.openAnswer(await bench.target.enrol('renew', sealed.sealed));
        const { result } = RenewAnswer.decode(answer);
        if (key !== hub.key) require(result?.$case === 'failure', 'another key got a certificate');
        else {
          require(result?.$case === 'identity', 'it was refused');
          const renewed = hub.trust.verify(result.value.certificate, bench.clock.now(), { role: 'hub' });
          require(renewed.key.equals(key.publicKey), 'the certificate is for another key');
        }
      }
    },
    'token',
  ),
];
