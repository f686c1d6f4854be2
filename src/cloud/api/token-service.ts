// inventory.v1.TokenService.
import { Caller } from '../../../gen/occmesh/access/v1/access.js';
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
import type { UserCaller } from '../../contract/access.js';
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
    return { token: tokenOf(token), text };
  };

  readonly createApiToken = async (request: CreateApiTokenRequest, call: Call): Promise<CreateApiTokenResponse> => {
    const view = this.#view(call);
    const caller = requireUserCaller(request.caller);
    const operator = caller === Caller.OPERATOR;
    if (operator && !view.isOperator) {
      throw new ApiFault('api.denied', 'only an operator makes tokens for operators');
    }
    if (operator && request.customerId !== '') throw invalid('customer_id', 'must be empty for an operator');
    const customerId = operator ? undefined : view.customer('customer_id', request.customerId).id;
    const lifetimeMs =
      request.lifetimeMs === 0
        ? 0
        : requireRange('lifetime_ms', request.lifetimeMs, MIN_LIFETIME_MS, MAX_API_LIFETIME_MS);
    const name = optionalName('name', request.name);
    const { token, text } = await this.modules.inventory.tokens.createApi({ caller, customerId, lifetimeMs, name });
    return { token: tokenOf(token), text };
  };

  readonly listTokens = async (request: ListTokensRequest, call: Call): Promise<ListTokensResponse> => {
    const customerId = this.#view(call).filter('customer_id', request.customerId);
    const all = this.modules.inventory.tokens.list(customerId);
    const { items, nextPageToken } = page(all, (token) => token.id, request);
    return { tokens: items.map(tokenOf), nextPageToken };
  };

  readonly revokeToken = async (request: RevokeTokenRequest, call: Call): Promise<Token> => {
    const { id } = this.#view(call).token('id', request.id);
    return tokenOf(await this.modules.inventory.tokens.revoke(id));
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

  #view(call: Call): View {
    return View.of(this.modules.inventory, call.principal);
  }
}

function requireUserCaller(caller: Caller): UserCaller {
  switch (caller) {
    case Caller.OPERATOR:
    case Caller.CUSTOMER_ADMIN:
    case Caller.CUSTOMER_READER:
      return caller;
    default:
      throw invalid('caller', 'must be CALLER_OPERATOR, CALLER_CUSTOMER_ADMIN or CALLER_CUSTOMER_READER');
  }
}

/** Never with the secret's hash. */
function tokenOf(token: TokenRecord): Token {
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
  };
}
