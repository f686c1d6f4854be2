// Entering a secret so that only its hub can read it: whoever calls this seals, and believes nobody in between.
import type { TargetPart } from '../../gen/occmesh/link/v1/link.js';
import type { GetSealingContextResponse, Secret, SecretServiceService } from '../../gen/occmesh/secrets/v1/secrets.js';
import { ContractFault } from '../contract/fault.js';
import type { TrustBundle } from '../identity/certificates.js';
import { requireSealingKey, sameTarget, sealSecret, type Target } from '../identity/secret-sealing.js';
import type { Clock } from '../kernel/clock.js';
import type { ServiceCalls } from './service-calls.js';

export interface NewSecret {
  /** The sensor: the hub's id, a slash, its number. */
  readonly sensorId: string;
  /** As the sensor's kind names it: `password`, `token`, … */
  readonly field: string;
  /**
   * 1 to 4,096 bytes. As a function it is told who will learn the secret, and what it returns is wiped after use; it may
   * refuse by throwing.
   */
  readonly plaintext: Uint8Array | ((target: readonly TargetPart[]) => Promise<Uint8Array>);
}

export interface SetSecretModules {
  readonly secrets: ServiceCalls<typeof SecretServiceService>;
  readonly trust: TrustBundle;
  readonly clock: Clock;
}

/** How often the hub's configuration may change while a secret is on its way. */
const TRIES = 5;

/**
 * Seals a secret to its hub and hands it in. Faults: identity.* when the hub's key is not proved, contract.*;
 * contract.aborted when the sensor has got another target meanwhile.
 */
export async function setSecret(secret: NewSecret, modules: SetSecretModules): Promise<Secret> {
  const { sensorId, field } = secret;
  const prepare = () => modules.secrets.getSealingContext({ sensorId, field });
  let prepared = await prepare();
  const target = targetOf(prepared);
  const asked = typeof secret.plaintext === 'function';
  const plaintext = asked ? await secret.plaintext(prepared.target) : secret.plaintext;
  try {
    for (let attempt = 1; ; attempt++) {
      try {
        return await handIn(prepared, plaintext, secret, modules);
      } catch (thrown) {
        const changed = thrown instanceof ContractFault && thrown.code === 'contract.aborted';
        if (!changed || attempt === TRIES) throw thrown;
      }
      prepared = await prepare();
      if (!sameTarget(target, prepared.target)) throw redirected();
    }
  } finally {
    if (asked) plaintext.fill(0);
  }
}

async function handIn(
  prepared: GetSealingContextResponse,
  plaintext: Uint8Array,
  { sensorId, field }: NewSecret,
  { secrets, trust, clock }: SetSecretModules,
): Promise<Secret> {
  requireAsked(prepared, sensorId, field);
  const key = requireSealingKey(trust, prepared, clock.now());
  const value = await sealSecret(key, { ...prepared, target: targetOf(prepared) }, plaintext);
  return await secrets.putSecret({ sensorId, field, secret: { $case: 'sealed', value } });
}

/** What is sealed is what was asked for, whatever the answer says. */
function requireAsked(prepared: GetSealingContextResponse, sensorId: string, field: string): void {
  if (`${prepared.machineId}/${prepared.sensor}` === sensorId && prepared.field === field) return;
  throw new ContractFault('contract.internal', 'the cloud answered for another secret than was asked for');
}

const targetOf = ({ target }: GetSealingContextResponse): Target =>
  Object.fromEntries(target.map(({ name, value }) => [name, value]));

const redirected = () =>
  new ContractFault('contract.aborted', 'the sensor has got another target meanwhile; nothing was entered', {
    advice: 'Look at the sensor, and enter the secret again.',
  });
