// Lasting signatures: content that is verifiable long after it was made and wherever it travelled.
// Which key belongs to an author is the caller's business (for a machine: its whole key history).
import type { Signed } from '../../gen/occmesh/telemetry/v1/telemetry.js';
import type { SigningKey, VerifyKey } from './keys.js';
import { type DomainTag, tagged } from './tags.js';

/** Signs `content` for one purpose. The same bytes are what travels: never encode them again. */
export function signContent(key: SigningKey, tag: DomainTag, content: Uint8Array): Signed {
  return { content, signature: key.sign(tagged(tag, content)), keyId: key.publicKey.keyId };
}

/** True when `signed` names `key` and was signed by it for the purpose `tag`. Never throws. */
export function verifySigned(key: VerifyKey, tag: DomainTag, signed: Signed): boolean {
  return key.keyId.equals(signed.keyId) && key.verify(tagged(tag, signed.content), signed.signature);
}
