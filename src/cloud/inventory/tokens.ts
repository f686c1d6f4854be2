// Tokens: for enrolment, and for people and services at the API. Of a secret only the SHA-256 is kept (secrets are 32
// random bytes, so nothing slower is needed), and each is shown exactly once, to whoever made it; who repeats the request
// gets another. How an enrolment token is used is in admission.ts.
import { Caller, type Scope } from '../../../gen/occmesh/access/v1/access.js';
import type { Principal, UserCaller } from '../../contract/callers.js';
import { formatApiToken, parseApiToken } from '../../identity/api-token.js';
import { hashSecret, secretMatches, TOKEN_SECRET_LENGTH } from '../../identity/secret-hash.js';
import { newId, uuidBytes, uuidText } from '../../identity/uuid.js';
import type { Clock } from '../../kernel/clock.js';
import { defined } from '../../kernel/defined.js';
import type { EpochMs } from '../../kernel/duration.js';
import type { Logger } from '../../kernel/log.js';
import type { Random } from '../../kernel/random.js';
import { MOST } from '../quotas.js';
import { InventoryFault, notFound } from '../records/faults.js';
import type { Journal } from '../records/journal.js';
import type { ApiTokenRecord, EnrollmentTokenRecord, MachineRole, TokenRecord } from './records.js';
import type { Revocations } from './revocations.js';
import type { Tables } from './tables.js';
import { TokenUses } from './token-uses.js';

/** Who a valid API token speaks for. */
export type TokenBearer = Extract<Principal, { kind: 'user' }>;

export interface NewEnrollmentToken {
  readonly customerId: string;
  readonly role: MachineRole;
  readonly uses: number;
  /** The machine that may come back with it. */
  readonly machineId?: string;
  readonly lifetimeMs: number;
  readonly name: string;
}

export interface NewApiToken {
  readonly caller: UserCaller;
  /** Of services. */
  readonly scopes?: readonly Scope[] | undefined;
  /** Of everybody but operators, and services of all customers. */
  readonly customerId: string | undefined;
  /** 0: for ever. */
  readonly lifetimeMs: number;
  readonly name: string;
}

const CALLERS = {
  operator: Caller.OPERATOR,
  'customer-admin': Caller.CUSTOMER_ADMIN,
  'customer-reader': Caller.CUSTOMER_READER,
  service: Caller.SERVICE,
} as const satisfies Record<ApiTokenRecord['caller'], UserCaller>;

export const callerOf = (token: ApiTokenRecord): UserCaller => CALLERS[token.caller];

export class Tokens {
  readonly #tables: Tables;
  readonly uses: TokenUses;

  constructor(
    private readonly modules: {
      journal: Journal<Tables>;
      revocations: Revocations;
      clock: Clock;
      random: Random;
      log: Logger;
    },
  ) {
    this.uses = new TokenUses(modules);
    this.#tables = modules.journal.tables;
  }

  get(id: string): TokenRecord | undefined {
    return this.#tables.tokens.get(id);
  }

  /** Of one customer, or of all, operators' included. */
  list(customerId: string | undefined): Iterable<TokenRecord> {
    return customerId === undefined ? this.#tables.tokens.all() : this.#tables.tokens.group(customerId);
  }

  /** Faults: inventory.not-found (customer). */
  async createEnrollment(wanted: NewEnrollmentToken): Promise<{ token: EnrollmentTokenRecord; secret: Buffer }> {
    const { customerId, role, uses, lifetimeMs, name, machineId } = wanted;
    const now = this.modules.clock.now();
    const secret = this.modules.random.bytes(TOKEN_SECRET_LENGTH);
    const token: EnrollmentTokenRecord = {
      v: 1,
      kind: 'enrollment',
      id: newId(this.modules.random, now),
      customerId,
      role,
      uses,
      used: 0,
      ...defined({ machineId }),
      name,
      secretHash: hashSecret(secret).toString('hex'),
      createdAtMs: now,
      expiresAtMs: now + lifetimeMs,
    };
    return { token: await this.#record(token), secret };
  }

  /** Faults: inventory.not-found (customer). */
  async createApi(wanted: NewApiToken): Promise<{ token: ApiTokenRecord; text: string }> {
    const { token, secret } = this.#newApi(wanted);
    const recorded = await this.#record(token);
    return { token: recorded, text: formatApiToken({ id: uuidBytes(recorded.id), secret }) };
  }

  /** Who the bearer of this token is; undefined for whatever is not the text of a valid one. */
  authenticate(text: string): TokenBearer | undefined {
    const presented = parseApiToken(text);
    if (!presented) return undefined;
    const token = this.get(uuidText(presented.id));
    if (token?.kind !== 'api' || !secretMatches(presented.secret, Buffer.from(token.secretHash, 'hex')))
      return undefined;
    if (!this.#isValid(token)) return undefined;
    this.uses.note(token.id);
    const { customerId, scopes } = token;
    return { kind: 'user', tokenId: token.id, caller: callerOf(token), ...defined({ customerId, scopes }) };
  }

  /** Whether a token is still good: for what goes on after it was presented. */
  isInForce(id: string): boolean {
    const token = this.get(id);
    return token !== undefined && this.#isValid(token);
  }

  /** Whether some operator can still log in. */
  get hasOperator(): boolean {
    for (const token of this.list('')) {
      if (token.kind === 'api' && token.caller === 'operator' && this.#isValid(token)) return true;
    }
    return false;
  }

  /**
   * Makes an operator's token unless there is a valid one. `keep` puts its text where the operator will find it, before
   * the token is recorded: a crash in between leaves a useless text, which the next start replaces, and never a token
   * that nobody knows. Returns whether one was made. Faults: those of `keep`; storage.*.
   */
  async ensureOperator(keep: (text: string) => Promise<void>): Promise<boolean> {
    if (this.hasOperator) return false;
    const wanted = { caller: Caller.OPERATOR, customerId: undefined, lifetimeMs: 0, name: 'first operator' } as const;
    const { token, secret } = this.#newApi(wanted);
    await keep(formatApiToken({ id: uuidBytes(token.id), secret }));
    await this.#record(token);
    return true;
  }

  /** Ends a token, also against a restored backup. Faults: inventory.not-found; storage.*. */
  async revoke(id: string): Promise<TokenRecord> {
    if (!this.get(id)) throw notFound('token');
    const now = this.modules.clock.now();
    await this.modules.revocations.add([{ v: 1, atMs: now, tokenId: id }]);
    return this.modules.journal.change(() => {
      revokeIn(this.#tables, id, now);
      const token = this.#tables.tokens.latest(id);
      if (!token) throw notFound('token');
      return token;
    });
  }

  #newApi({ caller, scopes, customerId, lifetimeMs, name }: NewApiToken): { token: ApiTokenRecord; secret: Buffer } {
    const now = this.modules.clock.now();
    const secret = this.modules.random.bytes(TOKEN_SECRET_LENGTH);
    const token: ApiTokenRecord = {
      v: 1,
      kind: 'api',
      id: newId(this.modules.random, now),
      caller: nameOf(caller),
      ...defined({ customerId, scopes: scopes && [...scopes] }),
      name,
      secretHash: hashSecret(secret).toString('hex'),
      createdAtMs: now,
      expiresAtMs: lifetimeMs === 0 ? 0 : now + lifetimeMs,
    };
    return { token, secret };
  }

  /** Whoever repeats a request has a token already, whose secret is in no store: it gets the new secret. */
  async #record<T extends TokenRecord>(token: T): Promise<T> {
    const { journal } = this.modules;
    const recorded = await journal.change(() => {
      if (token.customerId !== undefined && !this.#tables.customers.latest(token.customerId))
        throw notFound('customer');
      this.#makeRoom(token.customerId);
      this.#tables.tokens.put(token);
      return token;
    });
    if (recorded.id === token.id) return recorded;
    const { secretHash } = token;
    await journal.transact(() => {
      const latest = this.#tables.tokens.latest(recorded.id);
      if (!latest) throw notFound('token');
      this.#tables.tokens.put({ ...latest, secretHash });
    });
    return recorded;
  }

  /** Inside a transaction. Those that have ended give way. Faults: inventory.exhausted. */
  #makeRoom(customerId: string | undefined): void {
    const { tokens } = this.#tables;
    const all = [...tokens.latestGroup(customerId ?? '')];
    if (all.length < MOST.tokens) return;
    const ended = all.filter((token) => !this.#isValid(token));
    if (ended.length === 0) {
      const message = `there are ${MOST.tokens} tokens already, and more are not possible`;
      throw new InventoryFault('inventory.exhausted', message, { permanent: true, advice: 'Revoke one.' });
    }
    for (const { id } of ended) tokens.remove(id);
  }

  #isValid(token: TokenRecord): boolean {
    if (token.revokedAtMs !== undefined || this.modules.revocations.hasToken(token.id)) return false;
    return token.expiresAtMs === 0 || this.modules.clock.now() < token.expiresAtMs;
  }
}

/** Inside a transaction. Nothing happens to a token that is unknown or revoked already. */
export function revokeIn(tables: Tables, id: string, now: EpochMs): void {
  const token = tables.tokens.latest(id);
  if (token && token.revokedAtMs === undefined) tables.tokens.put({ ...token, revokedAtMs: now });
}

function nameOf(caller: UserCaller): ApiTokenRecord['caller'] {
  const names = Object.keys(CALLERS) as ApiTokenRecord['caller'][];
  return names.find((name) => CALLERS[name] === caller) ?? 'customer-reader';
}
