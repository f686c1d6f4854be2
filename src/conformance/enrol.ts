// The hubs that are played: enrolled like any other, through the target, with keys that live as long as the run.
import {
  EnrolAnswer,
  type EnrollmentToken,
  EnrolRequest,
  type IssuedIdentity,
  Role,
} from '../../gen/occmesh/enrollment/v1/enrollment.js';
import { TrustBundle } from '../identity/certificates.js';
import { createCsr } from '../identity/csr.js';
import { sealRequest } from '../identity/enrollment-envelope.js';
import { SigningKey } from '../identity/keys.js';
import { SealingKeyPair, signSealingKey } from '../identity/sealing-keys.js';
import type { Clock } from '../kernel/clock.js';
import type { PlayedHub, Target } from './bench.js';
import { Broken } from './rule.js';

export const newKeys = (): Pick<PlayedHub, 'key' | 'sealingKey'> => ({
  key: SigningKey.generate(),
  sealingKey: SealingKeyPair.generate().publicKey,
});

/** One request with a token, as it should be but for `change`. */
export async function askEnrol(
  target: Pick<Target, 'enrol'>,
  token: EnrollmentToken,
  keys: Pick<PlayedHub, 'key' | 'sealingKey'>,
  change: Partial<EnrolRequest> = {},
): Promise<EnrolAnswer['result']> {
  const request = EnrolRequest.fromPartial({
    ...{ tokenId: token.tokenId, secret: token.secret },
    identities: [await hubIdentity(keys)],
    info: { hostname: 'conformance', software: 'conformance' },
    ...change,
  });
  const sealed = await sealRequest(token.enrollmentKey, 'Enrol', EnrolRequest.encode(request).finish());
  return EnrolAnswer.decode(await sealed.openAnswer(await target.enrol('enrol', sealed.sealed))).result;
}

/** Throws Broken when the token gives no membership. */
export async function enrolHub(
  target: Pick<Target, 'enrol'>,
  token: EnrollmentToken,
  clock: Clock,
): Promise<PlayedHub> {
  const keys = newKeys();
  const issued = identityOf(await askEnrol(target, token, keys), Role.HUB);
  return hubOf(keys, issued, token, clock);
}

/** A connector, and the hub of its machine. */
export async function enrolConnector(target: Pick<Target, 'enrol'>, token: EnrollmentToken, clock: Clock) {
  const [own, hubs] = [newKeys(), newKeys()];
  const none = new Uint8Array(0);
  const identities = [
    { role: Role.CONNECTOR, csr: await createCsr(own.key), sealingKey: none, sealingKeySignature: none },
    await hubIdentity(hubs),
  ];
  const result = await askEnrol(target, token, hubs, { identities });
  const certificate = Buffer.from(identityOf(result, Role.CONNECTOR).certificate);
  return { key: own.key, certificate, hub: hubOf(hubs, identityOf(result, Role.HUB), token, clock) };
}

async function hubIdentity({ key, sealingKey }: Pick<PlayedHub, 'key' | 'sealingKey'>) {
  const proof = { sealingKey, sealingKeySignature: signSealingKey(key, sealingKey) };
  return { role: Role.HUB, csr: await createCsr(key), ...proof };
}

function identityOf(result: EnrolAnswer['result'], role: Role): IssuedIdentity {
  if (result?.$case === 'failure') throw new Broken(`the token was refused: ${result.value.message}`);
  const issued = result?.value.identities.find((identity) => identity.role === role);
  if (!issued) throw new Broken('the answer to Enrol lacks an identity');
  return issued;
}

function hubOf(
  keys: Pick<PlayedHub, 'key' | 'sealingKey'>,
  issued: IssuedIdentity,
  token: EnrollmentToken,
  clock: Clock,
): PlayedHub {
  const trust = new TrustBundle(token.caCertificates);
  const { der, identity } = trust.verify(issued.certificate, clock.now(), { role: 'hub' });
  const machineId = Buffer.from(issued.machineId);
  if (identity.machineId.replaceAll('-', '') !== machineId.toString('hex')) {
    throw new Broken('the certificate is for another machine than the answer says');
  }
  return { ...keys, certificate: der, machineId, trust, generation: 0 };
}
