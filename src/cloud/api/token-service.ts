// inventory.v1.TokenService.
import { Caller, Scope } from '../../../gen/occmesh/access/v1/access.js';
import { Role } from '../../../gen/occmesh/enrollment/v1/enrollment.js';
import {
  type CreateApiTokenRequest,
  type CreateApiTokenResponse,
  type CreateEnrollmentTokenRequest,
  type CreateEnrollmentTokenResponse,
  type ListTokensRequest,
  type ListTokensResponse,
  type RevokeTokenRequest,
  type Token,
  TokenKind,
} from '../../../gen/occmesh/inventory/v1/inventory.js';
import type { UserCaller } from '../../contract/callers.js';
import { ApiFault } from '../../contract/fault.js';
import { invalid } from '../../contract/status.js';
import { roleToProto } from '../../identity/spiffe.js';
import { formatEnrollmentToken } from '../../identity/token-text.js';
import { uuidBytes } from '../../identity/uuid.js';
import { defined } from '../../kernel/defined.js';
import type { Inventory } from '../inventory/inventory.js';
import type { MachineRole, TokenRecord } from '../inventory/records.js';
import { callerOf } from '../inventory/tokens.js';
import { page } from './paging.js';
import type { MeshFacts } from './ports.js';
import { type Call, View } from './tenancy.js';
import { optionalName, requireAddress, requireMachineRole, requireRange } from './validation.js';

const DEFAULT_LIFETIME_MS = 3_600_000;
const MIN_LIFETIME_MS = 60_000;
const MAX_LIFETIME_MS = 2_592_000_000;
/** Ten years; for longer there is 0. */
const MAX_API_LIFETIME_MS = 315_360_000_000;
const MAX_USES = 10_000;
const MAX_CONNECTORS = 16;

interface Holder {
  readonly customerId: string;
  readonly role: MachineRole;
  readonly machineId: string | undefined;
}

export class TokenService {
  constructor(private readonly modules: { inventory: Inventory; mesh: MeshFacts }) {}

  readonly createEnrollmentToken = async (
    request: CreateEnrollmentTokenRequest,
    call: Call,
  ): Promise<CreateEnrollmentTokenResponse> => {
    const { customerId, role, machineId } = this.#holder(request, this.#view(call));
    const uses = requireRange('uses', request.uses || 1, 1, machineId === undefined ? MAX_USES : 1);
    const asked = request.lifetimeMs || DEFAULT_LIFETIME_MS;
    const lifetimeMs = requireRange('lifetime_ms', asked, MIN_LIFETIME_MS, MAX_LIFETIME_MS);
    if (request.connectors.length > MAX_CONNECTORS)
      throw invalid('connectors', `there may be at most ${MAX_CONNECTORS}`);
    const connectors = request.connectors.map((address, i) => requireAddress(`connectors[${i}]`, address));
    const name = optionalName('name', request.name);
    const { inventory, mesh } = this.modules;
    const { token, secret } = await inventory.tokens.createEnrollment({
      customerId,
      role,
      uses,
      lifetimeMs,
      name,
      ...defined({ machineId }),
    });
    const text = formatEnrollmentToken({
      cloud: mesh.cloud,
      caCertificates: [...mesh.caCertificates],
      enrollmentKey: mesh.enrollmentKey,
      tokenId: uuidBytes(token.id),
      secret,
      customerId: uuidBytes(customerId),
      role: roleToProto(role),
      expiresAtMs: token.expiresAtMs,
      connectors,
      machineId: machineId === undefined ? new Uint8Array(0) : uuidBytes(machineId),
    });
    return { token: this.#toProto(token), text };
  };

  readonly createApiToken = async (request: CreateApiTokenRequest, call: Call): Promise<CreateApiTokenResponse> => {
    const view = this.#view(call);
    const caller = requireUserCaller(request.caller);
    const scopes = requireScopes(caller, request.scopes);
    const customerId = this.#customerOf(caller, request.customerId, view);
    const lifetimeMs =
      request.lifetimeMs === 0
        ? 0
        : requireRange('lifetime_ms', request.lifetimeMs, MIN_LIFETIME_MS, MAX_API_LIFETIME_MS);
    const name = optionalName('name', request.name);
    const { token, text } = await this.modules.inventory.tokens.createApi({
      caller,
      scopes,
      customerId,
      lifetimeMs,
      name,
    });
    return { token: this.#toProto(token), text };
  };

  readonly listTokens = async (request: ListTokensRequest, call: Call): Promise<ListTokensResponse> => {
    const customerId = this.#view(call).filter('customer_id', request.customerId);
    const all = this.modules.inventory.tokens.list(customerId);
    const { items, nextPageToken } = page(all, (token) => token.id, request);
    return { tokens: items.map((token) => this.#toProto(token)), nextPageToken };
  };

  readonly revokeToken = async (request: RevokeTokenRequest, call: Call): Promise<Token> => {
    const { id } = this.#view(call).token('id', request.id);
    return this.#toProto(await this.modules.inventory.tokens.revoke(id));
  };

  /** For whom a token is: new machines of a customer, or one that there is. */
  #holder(request: CreateEnrollmentTokenRequest, view: View): Holder {
    if (request.machineId === '') {
      const { id } = view.customer('customer_id', request.customerId);
      return { customerId: id, role: requireMachineRole(request.role), machineId: undefined };
    }
    const { id, customerId, role, companionId, name, retiredAtMs } = view.machine('machine_id', request.machineId);
    if (request.customerId !== '' && request.customerId !== customerId)
      throw invalid('customer_id', "is not the machine's");
    if (request.role !== Role.UNSPECIFIED && request.role !== roleToProto(role))
      throw invalid('role', "is not the machine's");
    if (retiredAtMs !== undefined) {
      throw new ApiFault('api.precondition', `${name} is retired`, { advice: 'Enrol it as a new machine.' });
    }
    if (role === 'hub' && companionId !== undefined) {
      throw new ApiFault('api.precondition', `${name} is the hub of a connector and comes back with it`, {
        advice: `Make the token for the connector: ${companionId}.`,
      });
    }
    return { customerId, role, machineId: id };
  }

  /** Undefined for who sees all customers: such tokens only an operator makes. */
  #customerOf(caller: UserCaller, customerId: string, view: View): string | undefined {
    if (caller === Caller.OPERATOR && customerId !== '') throw invalid('customer_id', 'must be empty for an operator');
    const forAll = caller === Caller.OPERATOR || (caller === Caller.SERVICE && customerId === '' && view.isOperator);
    if (!forAll) return view.customer('customer_id', customerId).id;
    if (!view.isOperator) throw new ApiFault('api.denied', 'only an operator makes tokens for operators');
    return undefined;
  }

  #view(call: Call): View {
    return View.of(this.modules.inventory, call.principal);
  }

  /** Never with the secret's hash. */
  #toProto(token: TokenRecord): Token {
    const enrollment = token.kind === 'enrollment';
    return {
      id: token.id,
      kind: enrollment ? TokenKind.ENROLLMENT : TokenKind.API,
      customerId: token.customerId ?? '',
      role: enrollment ? roleToProto(token.role) : Role.UNSPECIFIED,
      caller: enrollment ? Caller.UNSPECIFIED : callerOf(token),
      name: token.name,
      createdAtMs: token.createdAtMs,
      expiresAtMs: token.expiresAtMs,
      uses: enrollment ? token.uses : 0,
      used: enrollment ? token.used : 0,
      revoked: token.revokedAtMs !== undefined,
      machineId: enrollment ? (token.machineId ?? '') : '',
      scopes: enrollment ? [] : [...(token.scopes ?? [])],
      lastUsedAtMs: enrollment ? 0 : this.modules.inventory.tokens.uses.lastOf(token),
    };
  }
}

function requireUserCaller(caller: Caller): UserCaller {
  switch (caller) {
    case Caller.OPERATOR:
    case Caller.CUSTOMER_ADMIN:
    case Caller.CUSTOMER_READER:
    case Caller.SERVICE:
      return caller;
    default:
      throw invalid(
        'caller',
        'must be CALLER_OPERATOR, CALLER_CUSTOMER_ADMIN, CALLER_CUSTOMER_READER or CALLER_SERVICE',
      );
  }
}

/** Ascending, each once; undefined for who has none. */
function requireScopes(caller: UserCaller, scopes: readonly Scope[]): Scope[] | undefined {
  if (caller !== Caller.SERVICE) {
    if (scopes.length > 0) throw invalid('scopes', 'are for services only');
    return undefined;
  }
  if (scopes.length === 0) throw invalid('scopes', 'must name at least one: without any it may do nothing');
  const unknown = scopes.findIndex((scope) => !(scope in Scope) || scope <= Scope.UNSPECIFIED);
  if (unknown >= 0) throw invalid(`scopes[${unknown}]`, 'is none that this service knows');
  return [...new Set(scopes)].sort((a, b) => a - b);
}
