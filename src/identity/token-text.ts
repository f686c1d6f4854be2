// Enrolment tokens as text, for files and clipboards: "occ1." and the base64url of enrollment.v1.EnrollmentToken.
// The number is the version of the form. The text is a secret: it goes into files of mode 0600 and standard input, never
// into arguments, environments or logs; no fault here quotes it.
import { EnrollmentToken } from '../../gen/occmesh/enrollment/v1/enrollment.js';
import { TrustBundle } from './certificates.js';
import { IdentityFault } from './fault.js';
import { TOKEN_ID_LENGTH, TOKEN_SECRET_LENGTH } from './secret-hash.js';
import { roleFromProto } from './spiffe.js';
import { uuidText } from './uuid.js';
import { X25519_LENGTH } from './x25519.js';

const VERSION = '1';
/** With a few certificates and connectors a token has 1 to 2 KiB. */
const MAX_TEXT = 65_536;

export function formatEnrollmentToken(token: EnrollmentToken): string {
  return `occ${VERSION}.${Buffer.from(EnrollmentToken.encode(token).finish()).toString('base64url')}`;
}

/**
 * Reads the text of a token; white space anywhere in it does not matter. Says nothing about expiry: that needs a clock.
 * Faults: identity.bad-token (not a token; truncated or damaged), identity.token-version.
 */
export function parseEnrollmentToken(text: string): EnrollmentToken {
  const compact = text.length <= MAX_TEXT ? text.replaceAll(/\s/g, '') : '';
  const form = /^occ(\d{1,4})\.(.*)$/.exec(compact);
  if (!form) throw badToken('this is not an enrolment token: it does not begin with "occ1."', undefined);
  if (form[1] !== VERSION) {
    throw new IdentityFault('identity.token-version', `this enrolment token has version ${form[1]}, not ${VERSION}`, {
      permanent: true,
      advice: 'Use the same program version here as in the cloud.',
    });
  }
  const body = form[2] ?? '';
  if (!/^[A-Za-z0-9_-]+$/.test(body)) throw badToken('there are characters in this token that do not belong to it');
  try {
    return requireWhole(EnrollmentToken.decode(Buffer.from(body, 'base64url')));
  } catch (cause) {
    throw badToken('this enrolment token is truncated or damaged', cause);
  }
}

/** Every part that the contract asks for is there and can be what it says. */
function requireWhole(token: EnrollmentToken): EnrollmentToken {
  const require = (fits: boolean, what: string) => {
    if (!fits) throw new RangeError(`its ${what} is missing or wrong`);
  };
  require(isHostPort(token.cloud), 'cloud address');
  new TrustBundle(token.caCertificates);
  require(token.enrollmentKey.length === X25519_LENGTH, 'enrolment key');
  require(token.tokenId.length === TOKEN_ID_LENGTH, 'id');
  require(token.secret.length === TOKEN_SECRET_LENGTH, 'secret');
  uuidText(token.customerId);
  const role = roleFromProto(token.role);
  require(role === 'hub' || role === 'connector', 'role');
  require(token.expiresAtMs > 0, 'expiry');
  require(token.connectors.every(isHostPort), 'list of connectors');
  return token;
}

function isHostPort(text: string): boolean {
  const match = /^(?:[A-Za-z0-9_.-]{1,253}|\[[0-9A-Fa-f:.%a-z]{2,60}\]):(\d{1,5})$/.exec(text);
  const port = Number(match?.[1]);
  return port >= 1 && port <= 65_535;
}

function badToken(message: string, cause?: unknown): IdentityFault {
  return new IdentityFault('identity.bad-token', message, {
    permanent: true,
    cause,
    advice: 'Copy the whole token again, or make a new one.',
  });
}
