// Who is calling the cloud: a machine by its verified certificate, a person or service by an API token. The customer
// comes from the credential, never from a request.
import type { Authenticate, Principal } from '../contract/callers.js';
import { ANONYMOUS } from '../contract/callers.js';
import { ContractFault } from '../contract/fault.js';
import type { TrustBundle } from '../identity/certificates.js';
import type { Clock } from '../kernel/clock.js';
import type { Inventory } from './inventory/inventory.js';

export function authenticator(modules: { trust: TrustBundle; inventory: Inventory; clock: Clock }): Authenticate {
  const { trust, inventory, clock } = modules;
  return ({ certificate, bearer }): Principal => {
    if (bearer !== undefined) {
      const user = inventory.tokens.authenticate(bearer);
      if (user) return user;
      throw new ContractFault('contract.unauthenticated', 'this API token is unknown, expired or revoked', {
        permanent: true,
        advice: 'Ask an operator for a new one ("occ tokens create-api").',
      });
    }
    if (!certificate) return ANONYMOUS;
    const { identity, key, der } = trust.verify(certificate, clock.now());
    if (identity.role === 'cloud') return ANONYMOUS;
    if (inventory.machines.isRevoked(key.keyId)) {
      throw new ContractFault('contract.denied', 'this machine has been retired', {
        permanent: true,
        reason: 'REFUSED',
        advice: 'Enrol it again with a new token.',
      });
    }
    const { role, machineId, customerId } = identity;
    return { kind: 'machine', role, machineId, customerId, certificate: der, keyId: key.keyId };
  };
}
