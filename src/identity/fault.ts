// What can be wrong with an identity: its keys, certificates, tokens and sealed messages.
import { Fault } from '../kernel/fault.js';

export type IdentityCode =
  /** It is not what it should be: cannot be parsed, wrong curve, wrong length, fields missing. */
  | 'identity.malformed'
  /** Not issued by the mesh's CA. */
  | 'identity.untrusted'
  /** Its validity is over. */
  | 'identity.expired'
  /** Its validity has not begun, or the clock that was asked is behind. */
  | 'identity.not-yet-valid'
  /** Genuine, but of another role than the one that was needed. */
  | 'identity.wrong-role'
  /** Genuine, but of another customer, machine or mesh than the one that was needed. */
  | 'identity.wrong-party'
  /** Genuine, but revoked. */
  | 'identity.revoked'
  /** A sealed message does not open: another key, another context, or it was changed. */
  | 'identity.cannot-open'
  /** A token's text is damaged or not a token. */
  | 'identity.bad-token'
  /** The token was made by a program version that this one does not understand. */
  | 'identity.token-version'
  /** A file with secrets can be read by others. */
  | 'identity.file-exposed'
  /** A file cannot be read or written. */
  | 'identity.file-unusable';

export class IdentityFault extends Fault<IdentityCode> {}

/** For what is not an identity, a key, a certificate or a message at all, whoever made it. */
export const malformed = (what: string, cause?: unknown): IdentityFault =>
  new IdentityFault('identity.malformed', what, { permanent: true, cause });
