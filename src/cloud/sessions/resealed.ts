// Secrets that a hub has sealed to another key of its own: verified as its word, then for the inventory to take or leave.
import { Resealed } from '../../../gen/occmesh/link/v1/link.js';
import type { Signed } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { verifySigned } from '../../identity/signed.js';
import { TAGS } from '../../identity/tags.js';
import { LinkFault } from '../../link/fault.js';
import type { HubHost } from './hub-host.js';
import type { SessionServices } from './services.js';

/**
 * True when it was taken. Otherwise it answers a wish that has been fulfilled or is out of date, and the hub is sent by
 * other means what holds now. Faults: link.unauthentic, link.protocol; inventory.invalid, storage.*.
 */
export async function takeResealed(
  { inventory }: Pick<SessionServices, 'inventory'>,
  hub: Pick<HubHost, 'machineId' | 'machine' | 'verifyKey'>,
  signed: Signed,
): Promise<boolean> {
  const key = hub.verifyKey(signed.keyId);
  if (!key || !verifySigned(key, TAGS.RESEALED, signed)) {
    throw new LinkFault('link.unauthentic', 'what was sealed anew is not signed by this hub');
  }
  const content = decode(signed.content);
  if (!hub.machine.equals(content.machineId)) throw new LinkFault('link.unauthentic', "another hub's secrets");
  return await inventory.takeResealed(hub.machineId, content);
}

function decode(content: Uint8Array): Resealed {
  try {
    return Resealed.decode(content);
  } catch (cause) {
    throw new LinkFault('link.protocol', 'what was sealed anew cannot be read', { cause });
  }
}
