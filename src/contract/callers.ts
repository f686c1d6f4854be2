// Who is calling, and whether the rule of a method lets them: by the credential that a call brings, before anything of it has
// been read. Who a credential belongs to is decided by `authenticate`, which is handed in.
import { Caller, type Scope, scopeToJSON } from '../../gen/occmesh/access/v1/access.js';
import type { AccessRules } from './descriptors.js';
import { ContractFault } from './fault.js';

/** What is known about a call before anything of it has been read. */
export interface CallCredentials {
  /** `/package.Service/Method`. */
  readonly path: string;
  /** The client certificate, DER, when TLS verified it up to the CA; absent otherwise. */
  readonly certificate?: Buffer;
  /** The bearer token in the `authorization` metadata, without the word Bearer. */
  readonly bearer?: string;
  /** Address and port of the connection, `192.0.2.1:5000`. */
  readonly peer: string;
}

export type UserCaller = Caller.OPERATOR | Caller.CUSTOMER_ADMIN | Caller.CUSTOMER_READER | Caller.SERVICE;

/** Who is calling, as far as it has been proved. */
export type Principal =
  | { readonly kind: 'anonymous' }
  | {
      readonly kind: 'machine';
      readonly role: 'hub' | 'connector';
      readonly machineId: string;
      readonly customerId: string;
      /** DER, as verified. */
      readonly certificate: Buffer;
      readonly keyId: Buffer;
    }
  | {
      readonly kind: 'user';
      readonly caller: UserCaller;
      /** Absent for operators, and for services that they let see every customer. */
      readonly customerId?: string;
      /** Of services. */
      readonly scopes?: readonly Scope[];
      readonly tokenId: string;
    };

/** Throws a fault (unauthenticated, revoked …) for a credential that is not good; anonymous for none at all. */
export type Authenticate = (credentials: CallCredentials) => Principal | Promise<Principal>;

export const ANONYMOUS: Principal = { kind: 'anonymous' };

/** A bearer token longer than this is none of ours. */
const MAX_BEARER = 4_096;

export interface CallerRules {
  readonly rules: AccessRules;
  /** What a service needs to call a method, by path. Default: no service may call anything. */
  readonly scopes?: ReadonlyMap<string, Scope>;
  readonly authenticate: Authenticate;
}

/** Told who is calling as soon as that is known; rejects when it is one call too many. */
export type Enter = (principal: Principal) => Promise<void>;

/** Who is calling, if the rule of the method lets them: also of what is served under its rule besides gRPC. */
export async function permitted(options: CallerRules, credentials: CallCredentials, enter: Enter): Promise<Principal> {
  const { path } = credentials;
  const allowed = options.rules.get(path) ?? [];
  const principal = await options.authenticate(credentials);
  const caller = callerOf(principal);
  if (caller === undefined) throw missingCredential(allowed);
  await enter(principal);
  const scope = options.scopes?.get(path);
  if (caller === Caller.SERVICE ? scope === undefined : !allowed.includes(caller)) {
    throw new ContractFault('contract.denied', `${path} is not for ${nameOf(caller)}`, {
      permanent: true,
      ...(allowed.length > 0 ? { advice: `It is for ${allowed.map(nameOf).join(' and ')}.` } : {}),
    });
  }
  if (principal.kind === 'user' && caller === Caller.SERVICE && !principal.scopes?.some((own) => own === scope)) {
    throw new ContractFault('contract.denied', `the scopes of this token do not let it call ${path}`, {
      permanent: true,
      advice: `Ask for a token with the scope ${scopeWord(scope)}.`,
    });
  }
  return principal;
}

/** As the command line has it: `readings-read`. */
const scopeWord = (scope: Scope | undefined): string =>
  scopeToJSON(scope ?? 0)
    .replace('SCOPE_', '')
    .toLowerCase()
    .replaceAll('_', '-');

/** The API token in values of `authorization`; undefined for none at all. Faults: contract.unauthenticated. */
export function bearerIn(values: readonly unknown[]): string | undefined {
  if (values.length === 0) return undefined;
  const match = values.length === 1 ? /^bearer +(\S+)$/i.exec(String(values[0])) : null;
  if (!match?.[1] || match[1].length > MAX_BEARER) {
    throw new ContractFault('contract.unauthenticated', 'the authorization metadata cannot be read', {
      permanent: true,
      advice: 'Send one value: Bearer, a space, and the API token.',
    });
  }
  return match[1];
}

function callerOf(principal: Principal): Caller | undefined {
  switch (principal.kind) {
    case 'anonymous':
      return undefined;
    case 'machine':
      return principal.role === 'hub' ? Caller.HUB : Caller.CONNECTOR;
    case 'user':
      return principal.caller;
  }
}

const MACHINES: readonly Caller[] = [Caller.HUB, Caller.CONNECTOR];

function missingCredential(allowed: readonly Caller[]): ContractFault {
  const machine = allowed.some((caller) => MACHINES.includes(caller));
  const what = machine ? 'a client certificate of this mesh' : 'an API token';
  return new ContractFault('contract.unauthenticated', `this request needs ${what}, and none that is valid came`, {
    permanent: true,
    advice: machine
      ? 'Enrol this machine, or renew its certificate.'
      : 'Send an API token in the authorization metadata, as "Bearer <token>".',
  });
}

const NAMES: { readonly [caller: number]: string } = {
  [Caller.HUB]: 'hubs',
  [Caller.CONNECTOR]: 'connectors',
  [Caller.OPERATOR]: 'operators',
  [Caller.CUSTOMER_ADMIN]: 'administrators of a customer',
  [Caller.CUSTOMER_READER]: 'readers of a customer',
  [Caller.SERVICE]: 'services',
};

const nameOf = (caller: Caller): string => NAMES[caller] ?? 'this caller';
