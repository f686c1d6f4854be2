// `occ tokens …`: for machines that enrol, and for people and services that use the API.
import type { Command } from 'commander';
import { Caller, every, Role, type Token } from '../../client/index.js';
import type { Duration } from '../../kernel/duration.js';
import { flagReader, flagsReader } from '../config/settings.js';
import { usage } from '../fault.js';
import { type Names, namesOf, pick } from '../names.js';
import { type Answer, operate, operatorFlags, type Session } from '../operator.js';
import type { Paint } from '../output/colour.js';
import { plainToken } from '../output/plain.js';
import { table } from '../output/table.js';
import { ago, span } from '../output/times.js';
import { callerWord, roleWord, SCOPES, tokenKindWord } from '../output/words.js';
import type { Terminal } from '../terminal.js';
import { writeNewSecret } from '../token-file.js';
import { address, oneOf, path, someTime, wholeNumber } from '../values.js';

const ROLES = { hub: Role.HUB, connector: Role.CONNECTOR } as const;
const CALLERS = {
  operator: Caller.OPERATOR,
  admin: Caller.CUSTOMER_ADMIN,
  reader: Caller.CUSTOMER_READER,
  service: Caller.SERVICE,
} as const;

const lifetime = flagReader((text: string) => someTime(text, ''));

interface NewToken {
  readonly token: Token | undefined;
  readonly text: string;
}

type ScopeName = keyof typeof SCOPES;

export function addTokens(program: Command, terminal: Terminal): void {
  const group = program.command('tokens').description('What lets machines, people and services in');
  addCreate(group, terminal);
  addCreateApi(group, terminal);
  addList(group, terminal);
  addRevoke(group, terminal);
}

function addCreate(group: Command, terminal: Terminal): void {
  const command = operatorFlags(group.command('create'), terminal)
    .description('Make a token with which machines enrol; it is printed, or written to a file, this once only')
    .option('--customer <customer>', 'for whose machines (name or id; may be left out when there is only one)')
    .option(
      '--role <role>',
      'hub or connector',
      flagReader((text) => oneOf('hub', 'connector')(text, '')),
    )
    .option('--for-machine <machine>', 'instead: for one that is installed anew and keeps its id, sensors and history')
    .option(
      '--uses <n>',
      'how many machines may use it (default 1)',
      flagReader((text) => wholeNumber(1, 10_000)(text, '')),
    )
    .option('--lifetime <duration>', 'how long it may be used (default 1h)', lifetime)
    .option(
      '--connector <host:port>',
      'connector for machines that multicast does not reach (repeatable)',
      flagsReader((text) => address(text, '')),
    )
    .option('--name <name>', 'for people')
    .option(
      '--out <file>',
      'write it to a new file of mode 0600',
      flagReader((text) => path(text, terminal.cwd)),
    );
  type Options = {
    readonly customer?: string;
    readonly role?: keyof typeof ROLES;
    readonly forMachine?: string;
    readonly uses?: number;
    readonly lifetime?: Duration;
    readonly connector?: readonly string[];
    readonly name?: string;
    readonly out?: string;
  };
  command.action((options: Options) => {
    const { role, forMachine } = options;
    if ((role === undefined) === (forMachine === undefined)) {
      throw usage(
        'say either --role or --for-machine',
        'A new machine has a role; one that comes back has it already.',
      );
    }
    return operate(command, terminal, async (session) => {
      const machine = forMachine === undefined ? undefined : await session.machine(forMachine);
      const customer = await session.customer(machine?.customerId ?? options.customer);
      const make = () =>
        session.client.tokens.createEnrollmentToken({
          customerId: customer.id,
          role: role && ROLES[role],
          machineId: machine?.id,
          uses: options.uses,
          lifetimeMs: options.lifetime,
          connectors: options.connector === undefined ? undefined : [...options.connector],
          name: options.name,
        });
      return await newToken(make, options.out, namesOf({ customers: [customer] }), session);
    });
  });
}

function addCreateApi(group: Command, terminal: Terminal): void {
  const command = operatorFlags(group.command('create-api'), terminal)
    .description('Make a token for the API; it is printed, or written to a file, this once only')
    .requiredOption(
      '--caller <who>',
      'operator, admin (of one customer), reader (of one customer) or service (what its scopes say)',
      flagReader((text) => oneOf('operator', 'admin', 'reader', 'service')(text, '')),
    )
    .option('--customer <customer>', 'for admin, reader and service: whose (name or id)')
    .option('--all-customers', 'for service: not of one customer')
    .option(
      '--scope <scope>',
      `for service: what it may do (repeatable): ${Object.keys(SCOPES).join(', ')}`,
      (text: string, before: readonly ScopeName[] = []) => [...before, readScope(text)],
    )
    .option('--lifetime <duration>', 'how long it is good (default for ever)', lifetime)
    .option('--name <name>', 'for people')
    .option(
      '--out <file>',
      'write it to a new file of mode 0600',
      flagReader((text) => path(text, terminal.cwd)),
    );
  type Options = {
    readonly caller: keyof typeof CALLERS;
    readonly customer?: string;
    readonly allCustomers?: boolean;
    readonly scope?: readonly ScopeName[];
    readonly lifetime?: Duration;
    readonly name?: string;
    readonly out?: string;
  };
  command.action((options: Options) => {
    const { caller, lifetime: lifetimeMs, name, out, allCustomers = false, scope = [] } = options;
    if (caller === 'operator' && options.customer !== undefined) {
      throw usage('an operator has no customer', 'Leave --customer out, or say --caller admin.');
    }
    if ((caller === 'service') !== scope.length > 0) {
      throw usage('a service needs --scope, and nobody else has one', `Say for example --scope readings-read.`);
    }
    if (allCustomers && (caller !== 'service' || options.customer !== undefined))
      throw usage('--all-customers is for services, and instead of --customer');
    return operate(command, terminal, async (session) => {
      const forAll = caller === 'operator' || allCustomers;
      const customer = forAll ? undefined : await session.customer(options.customer);
      const scopes = scope.map((one) => SCOPES[one]);
      const make = () =>
        session.client.tokens.createApiToken({
          caller: CALLERS[caller],
          customerId: customer?.id,
          scopes,
          lifetimeMs,
          name,
        });
      return await newToken(make, out, namesOf(customer ? { customers: [customer] } : {}), session);
    });
  });
}

/** With a file, the secret is in the file and nowhere else. */
async function newToken(
  make: () => Promise<NewToken>,
  out: string | undefined,
  names: Names,
  session: Session,
): Promise<Answer> {
  const { token, text } = out === undefined ? await make() : await writeNewSecret(out, make);
  const what = token === undefined ? 'Token' : describeToken(token, names, session);
  return {
    json: { ...(token ? plainToken(token, names) : {}), ...(out === undefined ? { text } : { file: out }) },
    text: () => (out === undefined ? `${text}\n` : ''),
    note: out === undefined ? `${what}. It is a secret, and not shown again.` : `${what}, in ${out}`,
  };
}

function describeToken(token: Token, names: Names, { terminal }: Session): string {
  const whose = token.customerId === '' ? '' : ` of ${names.customer(token.customerId)}`;
  const ends =
    token.expiresAtMs === 0 ? 'for ever' : `for ${span(Math.max(0, token.expiresAtMs - terminal.clock.now()))}`;
  if (token.role === Role.UNSPECIFIED) return `Token for ${article(callerWord(token.caller))}${whose}, good ${ends}`;
  const uses = token.uses === 1 ? 'one machine' : `${token.uses} machines`;
  return `Token for ${article(roleWord(token.role))}${whose}, ${uses}, good ${ends}`;
}

const readScope = flagReader((text) => oneOf(...(Object.keys(SCOPES) as ScopeName[]))(text, ''));

const article = (word: string): string => `${/^[aeiou]/.test(word) ? 'an' : 'a'} ${word}`;

function addList(group: Command, terminal: Terminal): void {
  const command = operatorFlags(group.command('list'), terminal)
    .description('All tokens, without their secrets')
    .option('--customer <customer>', 'only of this customer')
    .option('--usable', 'only those that still let somebody in');
  command.action(({ customer: wanted, usable = false }: { customer?: string; usable?: boolean }) =>
    operate(command, terminal, async (session) => {
      const customers = await session.customers();
      const now = terminal.clock.now();
      const all = await tokensOf(session, await session.customerId(wanted));
      const tokens = usable ? all.filter((token) => condition(token, now).text === 'good') : all;
      const names = namesOf({ customers });
      return {
        json: tokens.map((token) => plainToken(token, names)),
        text: (paint) => (tokens.length === 0 ? '' : show(tokens, names, session, paint)),
        ...(tokens.length === 0 ? { note: 'There is no token. Make one: occ tokens create --role hub' } : {}),
      };
    }),
  );
}

function addRevoke(group: Command, terminal: Terminal): void {
  const command = operatorFlags(group.command('revoke <token>'), terminal);
  command.description('End a token (id or name); machines that enrolled with it stay');
  command.action((wanted: string) =>
    operate(command, terminal, async (session) => {
      const [customers, tokens] = await Promise.all([session.customers(), tokensOf(session, undefined)]);
      const names = namesOf({ customers });
      const named = tokens.map((token) => ({ ...token, names: token.name === '' ? [] : [token.name] }));
      const { id } = pick('token', wanted, named);
      const token = await session.client.tokens.revokeToken({ id });
      return { json: plainToken(token, names), text: (paint) => show([token], names, session, paint) };
    }),
  );
}

async function tokensOf({ client }: Session, customerId: string | undefined): Promise<Token[]> {
  const tokens: Token[] = [];
  for await (const token of every(client.tokens.listTokens, 'tokens', { customerId })) tokens.push(token);
  return tokens;
}

function show(tokens: readonly Token[], names: Names, { terminal }: Session, paint: Paint): string {
  const now = terminal.clock.now();
  const rows = tokens.map((token) => [
    token.name,
    tokenKindWord(token.kind),
    token.role === Role.UNSPECIFIED ? callerWord(token.caller) : roleWord(token.role),
    token.customerId === '' ? '' : names.customer(token.customerId),
    condition(token, now),
    token.uses === 0 ? '' : `${token.used} of ${token.uses}`,
    token.expiresAtMs === 0 ? 'never' : ago(token.expiresAtMs, now),
    token.role === Role.UNSPECIFIED ? ago(token.lastUsedAtMs, now) : '',
    token.id,
  ]);
  return table(['NAME', 'KIND', 'FOR', 'CUSTOMER', 'STATE', 'USED', 'EXPIRES', 'LAST USED', 'ID'], rows, paint);
}

function condition(token: Token, now: number) {
  if (token.revoked) return { text: 'revoked', tone: 'quiet' } as const;
  if (token.expiresAtMs !== 0 && token.expiresAtMs <= now) return { text: 'expired', tone: 'quiet' } as const;
  if (token.uses > 0 && token.used >= token.uses) return { text: 'used up', tone: 'quiet' } as const;
  return { text: 'good', tone: 'good' } as const;
}
