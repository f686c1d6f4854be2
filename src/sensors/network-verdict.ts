// What it means for a machine when a connection to it fails: for a sensor that watches a service, silence and refusal
// are results (CRITICAL), not failures of the measurement (UNKNOWN).
import { State } from '../../gen/occmesh/telemetry/v1/telemetry.js';
import { toError } from '../kernel/fault.js';
import { SensorFault } from './fault.js';
import type { Measurement } from './kind.js';

/** What is wrong with a certificate, by OpenSSL's codes. Node's own words advise on how to run Node. */
export const CERTIFICATE_WORDS: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'the certificate, or one of its chain, has expired',
  CERT_NOT_YET_VALID: 'the certificate is not valid yet',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'the certificate is self-signed',
  SELF_SIGNED_CERT_IN_CHAIN: 'the chain ends in an authority that is not trusted',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'the chain ends in an authority that is not trusted',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'the chain is incomplete: the server does not send all of it',
  ERR_TLS_CERT_ALTNAME_INVALID: 'the certificate is not made out to this name',
};

/** The same by OpenSSL's messages, for libraries that put codes of their own in place of its. */
const CERTIFICATE_MESSAGES: readonly (readonly [RegExp, keyof typeof CERTIFICATE_WORDS])[] = [
  [/^certificate has expired/, 'CERT_HAS_EXPIRED'],
  [/^certificate is not yet valid/, 'CERT_NOT_YET_VALID'],
  [/^self-signed certificate in certificate chain/, 'SELF_SIGNED_CERT_IN_CHAIN'],
  [/^self-signed certificate/, 'DEPTH_ZERO_SELF_SIGNED_CERT'],
  [/^unable to get (?:local )?issuer certificate/, 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY'],
  [/^unable to verify the first certificate/, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
  [/^Hostname\/IP does not match certificate's altnames/, 'ERR_TLS_CERT_ALTNAME_INVALID'],
];

function inWords({ code = '', message }: NodeJS.ErrnoException): string {
  const certificate = CERTIFICATE_MESSAGES.find(([form]) => form.test(message))?.[1] ?? '';
  return IN_WORDS[code] ?? CERTIFICATE_WORDS[certificate] ?? message;
}

const IN_WORDS: Readonly<Record<string, string>> = {
  ...CERTIFICATE_WORDS,
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection closed by the other side',
  EPIPE: 'connection closed by the other side',
  ETIMEDOUT: 'no answer',
  EHOSTUNREACH: 'no route to the host',
  ENETUNREACH: 'no route to the network',
  ENOTFOUND: 'there is no host of this name',
  EAI_AGAIN: 'the name server does not answer',
};

export const critical = (message: string, values: Measurement['values'] = []): Measurement => ({
  values,
  state: State.CRITICAL,
  message,
});

/** With several addresses tried (RFC 8305), Node reports one error that holds them all: the first speaks for them. */
function firstOf(thrown: unknown): NodeJS.ErrnoException {
  return toError(thrown instanceof AggregateError ? (thrown.errors[0] ?? thrown) : thrown);
}

/**
 * The verdict on an error of a connection. A run ended for another reason than its timeout (the sensor was removed)
 * has no verdict: its reason is thrown again.
 */
export function verdictOn(thrown: unknown, signal: AbortSignal): Measurement {
  if (signal.aborted) {
    const { reason } = signal;
    if (!(reason instanceof SensorFault && reason.code === 'sensor.timeout')) throw reason;
    return critical(`no answer: ${reason.message}`);
  }
  return critical(inWords(firstOf(thrown)));
}
