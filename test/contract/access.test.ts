// Who may call what, over real TLS: every method of the contract has a rule, and the rule is enforced before the
// handler runs.
import { Metadata } from '@grpc/grpc-js';
import { expect } from 'chai';
import { Caller, Scope } from '../../gen/occmesh/access/v1/access.js';
import { LinkServiceService } from '../../gen/occmesh/link/v1/link.js';
import {
  AggregateReadingsRequest,
  GetLedgerRequest,
  QueryReadingsRequest,
  ReadingServiceService,
  WatchReadingsRequest,
} from '../../gen/occmesh/readings/v1/readings.js';
import { SecretServiceService } from '../../gen/occmesh/secrets/v1/secrets.js';
import { TrunkServiceService } from '../../gen/occmesh/trunk/v1/trunk.js';
import { accessInterceptor } from '../../src/contract/access.js';
import { ANONYMOUS, type Principal } from '../../src/contract/callers.js';
import type { GrpcChannel } from '../../src/contract/channel.js';
import { loadDescriptors } from '../../src/contract/descriptors.js';
import { ContractFault } from '../../src/contract/fault.js';
import { StatusTranslator } from '../../src/contract/status.js';
import type { StreamControl } from '../../src/contract/windows.js';
import { seconds } from '../../src/kernel/duration.js';
import { silentLogger } from '../../src/kernel/log.js';
import { systemRandom } from '../../src/kernel/random.js';
import { FakeClock } from '../support/fake-clock.js';
import { testAuthority } from '../support/throwaway-certificates.js';
import { until } from '../support/until.js';
import { authenticator, Edge, testPki } from './edge.js';
import { faultOf } from './expect-fault.js';

const bearer = (token: string) => {
  const metadata = new Metadata();
  metadata.set('authorization', token);
  return metadata;
};

const NOTHING = GetLedgerRequest.fromPartial({});

async function linkEdge(seen: Principal[] = []): Promise<Edge> {
  const edge = await Edge.make();
  edge.listener.add(LinkServiceService, {
    link: async (stream, context) => {
      seen.push(context.principal);
      for await (const message of stream) stream.write(message);
    },
  });
  const empty = async function* () {};
  edge.listener.add(ReadingServiceService, {
    getLatest: async () => ({ readings: [], nextPageToken: '' }),
    queryReadings: empty,
    aggregateReadings: empty,
    watchReadings: empty,
    getLedger: async () => ({ logs: [], nextPageToken: '' }),
  });
  await edge.listener.start();
  return edge;
}

const link = async (channel: GrpcChannel) => {
  const stream = channel.byteStream(LinkServiceService.link);
  stream.write(Buffer.from('x'));
  stream.end();
  for await (const _ of stream);
  return stream.closed;
};

describe('access rules', () => {
  it('say for every method of the contract who may call it', () => {
    const descriptors = loadDescriptors();
    const rules = descriptors.accessRules();
    const methods = descriptors.methods();
    expect(methods.length).to.be.greaterThan(20);
    for (const { path } of methods) expect(rules.get(path), path).to.not.be.an('undefined').and.not.empty;
  });

  it('are those of the proto files', () => {
    const rules = loadDescriptors().accessRules();
    expect(rules.get(LinkServiceService.link.path)).to.deep.equal([Caller.HUB]);
    expect(rules.get(TrunkServiceService.trunk.path)).to.deep.equal([Caller.CONNECTOR]);
    expect(rules.get('/grpc.health.v1.Health/Check')).to.deep.equal([Caller.ANYONE]);
    expect(rules.get('/occmesh.inventory.v1.CustomerService/CreateCustomer')).to.deep.equal([Caller.OPERATOR]);
    const writers = [Caller.OPERATOR, Caller.CUSTOMER_ADMIN];
    for (const method of ['GetSealingContext', 'PutSecret', 'DeleteSecret']) {
      expect(rules.get(`/occmesh.secrets.v1.SecretService/${method}`), method).to.deep.equal(writers);
    }
    const secrets = rules.get('/occmesh.secrets.v1.SecretService/ListSecrets');
    expect(secrets).to.deep.equal([...writers, Caller.CUSTOMER_READER]);
  });

  it('let the right machine in, and tell the handler who it is', async () => {
    const seen: Principal[] = [];
    await using edge = await linkEdge(seen);
    expect(await link(edge.channel('hub'))).to.equal(undefined);
    const hub = edge.pki.hub.der;
    expect(seen).to.have.length(1);
    expect(seen[0]).to.include({ kind: 'machine', role: 'hub', customerId: 'customer 1' });
    expect(seen[0]?.kind === 'machine' && seen[0].certificate.equals(hub)).to.equal(true);
  });

  it('refuse a machine of another role', async () => {
    const seen: Principal[] = [];
    await using edge = await linkEdge(seen);
    const fault = await faultOf(link(edge.channel('connector')));
    expect(fault.code).to.equal('contract.denied');
    expect(fault.message).to.contain('is not for connectors. It is for hubs.');
    expect(seen).to.be.empty;
  });

  it('refuse whoever shows nothing, and say what to do', async () => {
    const seen: Principal[] = [];
    await using edge = await linkEdge(seen);
    const fault = await faultOf(link(edge.channel()));
    expect(fault.code).to.equal('contract.unauthenticated');
    expect(fault.message).to.contain('client certificate').and.contain('Enrol');
    expect(fault.reason).to.equal('CONTRACT_UNAUTHENTICATED');
    expect(seen).to.be.empty;
  });

  it('take certificates of another CA, and expired ones, for none at all', async () => {
    const { authority } = await testPki();
    const strangers = await (await testAuthority('another CA')).issue('hub');
    const expired = await authority.issue('hub', { expired: true });
    await using edge = await linkEdge();
    for (const { cert, key } of [strangers, expired]) {
      const fault = await faultOf(link(edge.channel(undefined, { tls: { ca: authority.ca, cert, key } })));
      expect(fault.code).to.equal('contract.unauthenticated');
    }
  });

  it('let a service call what the scopes of its token say, and nothing else', async () => {
    await using edge = await linkEdge();
    const channel = edge.channel();
    const ledger = (token: string) =>
      channel.unary(ReadingServiceService.getLedger, NOTHING, { metadata: bearer(`Bearer ${token}`) });
    expect(await ledger('service')).to.be.an('object');
    const fault = await faultOf(ledger('other-service'));
    expect(fault.code).to.equal('contract.denied');
    expect(fault.message).to.contain('scopes').and.to.contain('a token with the scope readings-read.');
  });

  it('have a scope for every method that people may call, but for what is for people only', () => {
    const FOR_PEOPLE: { readonly [path: string]: string } = {
      '/occmesh.inventory.v1.TokenService/CreateApiToken': 'it could give itself other rights',
      '/occmesh.inventory.v1.TokenService/ListTokens': 'belongs to making them',
      '/occmesh.inventory.v1.TokenService/RevokeToken': 'it could lock others out',
      '/occmesh.events.v1.NotificationService/CreateChannel': 'it could have everything sent elsewhere',
      '/occmesh.events.v1.NotificationService/ListChannels': 'shows who is told',
      '/occmesh.events.v1.NotificationService/DeleteChannel': 'nobody would be told any more',
      '/occmesh.events.v1.NotificationService/TestChannel': 'sends messages to people',
    };
    const descriptors = loadDescriptors();
    const scopes = descriptors.scopes();
    const forPeople = [...descriptors.accessRules()].filter(([, callers]) =>
      callers.some((caller) => caller === Caller.CUSTOMER_ADMIN || caller === Caller.CUSTOMER_READER),
    );
    expect(forPeople.length).to.be.greaterThan(20);
    for (const [path, callers] of forPeople) {
      expect(scopes.has(path), path).to.equal(FOR_PEOPLE[path] === undefined);
      expect(callers, 'services are let in by their scope').to.not.include(Caller.SERVICE);
    }
    // Whoever only reads changes nothing.
    for (const path of descriptors.changes()) expect(Scope[scopes.get(path) ?? 0], path).to.not.match(/_READ$/);
    for (const [path, callers] of descriptors.accessRules())
      if (!callers.includes(Caller.OPERATOR)) expect(scopes.has(path), path).to.equal(false);
  });

  it('count calls from their beginning to their end, however they end', async () => {
    let [entered, inside, most] = [0, 0, 2];
    const enter = async (principal: Principal) => {
      expect(principal.kind).to.equal('user');
      if (inside >= most) throw new ContractFault('contract.exhausted', 'too many', { retryAfter: seconds(7) });
      entered += 1;
      inside += 1;
      return () => {
        inside -= 1;
      };
    };
    await using edge = await Edge.make({ access: { enter } });
    let begin: () => void = () => undefined;
    const begun = new Promise<void>((resolve) => {
      begin = resolve;
    });
    edge.listener.add(ReadingServiceService, {
      getLatest: async () => ({ readings: [], nextPageToken: '' }),
      queryReadings: async function* () {},
      aggregateReadings: async function* () {
        yield { machineId: '', sensor: 1, content: undefined };
        throw new ContractFault('contract.invalid', 'no');
      },
      watchReadings: async function* (_, { signal }) {
        begin();
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
      },
      getLedger: async () => ({ logs: [], nextPageToken: '' }),
    });
    await edge.listener.start();
    const channel = edge.channel();
    const options = { metadata: bearer('Bearer reader') };
    const drained = async (stream: AsyncIterable<unknown>) => {
      for await (const _ of stream);
    };
    await channel.unary(ReadingServiceService.getLedger, NOTHING, options);
    await drained(
      channel.serverStream(ReadingServiceService.queryReadings, QueryReadingsRequest.fromPartial({}), options),
    );
    const failing = AggregateReadingsRequest.fromPartial({});
    await faultOf(drained(channel.serverStream(ReadingServiceService.aggregateReadings, failing, options)));
    expect([entered, inside]).to.deep.equal([3, 0]);
    const stop = new AbortController();
    const request = WatchReadingsRequest.fromPartial({});
    const watching = drained(
      channel.serverStream(ReadingServiceService.watchReadings, request, { ...options, signal: stop.signal }),
    ).catch(() => undefined);
    await begun;
    expect(inside).to.equal(1);
    most = 1;
    const fault = await faultOf(channel.unary(ReadingServiceService.getLedger, NOTHING, options));
    expect([fault.code, fault.retryAfter]).to.deep.equal(['contract.exhausted', seconds(7)]);
    stop.abort();
    await watching;
    await until(() => inside === 0, 'the call that was given up counts no more');
  });

  it('count calls that are for others, and let go of them at once', async () => {
    const left: string[] = [];
    let [inside, most] = [0, 1];
    const enter = async (principal: Principal) => {
      if (inside >= most) throw new ContractFault('contract.exhausted', 'too many');
      inside += 1;
      return () => {
        inside -= 1;
        left.push(principal.kind);
      };
    };
    await using edge = await Edge.make({ access: { enter } });
    edge.listener.add(LinkServiceService, { link: async () => undefined });
    await edge.listener.start();
    const channel = edge.channel();
    const denied = async (token: string) => {
      const stream = channel.byteStream(LinkServiceService.link, { metadata: bearer(token) });
      return (await faultOf(stream.forEach((_) => {}))).code;
    };
    expect(await denied('Bearer reader')).to.equal('contract.denied');
    expect(await denied('Bearer reader')).to.equal('contract.denied');
    expect([inside, left]).to.deep.equal([0, ['user', 'user']]);
    most = 0;
    expect(await denied('Bearer reader')).to.equal('contract.exhausted');
    expect(await denied('Bearer stolen'), 'nobody pays for strangers').to.equal('contract.unauthenticated');
    expect([inside, left.length]).to.deep.equal([0, 2]);
  });

  it('tell tokens from one another', async () => {
    await using edge = await linkEdge();
    const channel = edge.channel();
    const ledger = (token: string) =>
      channel.unary(ReadingServiceService.getLedger, NOTHING, { metadata: bearer(token) });
    const rule = loadDescriptors().accessRules().get(ReadingServiceService.getLedger.path) ?? [];
    for (const [token, caller] of [
      ['operator', Caller.OPERATOR],
      ['admin', Caller.CUSTOMER_ADMIN],
      ['reader', Caller.CUSTOMER_READER],
    ] as const) {
      if (rule.includes(caller)) expect(await ledger(`Bearer ${token}`)).to.be.an('object');
      else expect((await faultOf(ledger(`Bearer ${token}`))).code).to.equal('contract.denied');
    }
    expect((await faultOf(ledger('Bearer stolen'))).code).to.equal('contract.unauthenticated');
    expect((await faultOf(ledger('Basic operator'))).message).to.contain('cannot be read');
    const missing = await faultOf(channel.unary(ReadingServiceService.getLedger, NOTHING));
    expect(missing.message).to.contain('API token');
  });

  it('have what came of a request wiped when its call is over, where the contract says so', async () => {
    const descriptors = loadDescriptors();
    const { path } = SecretServiceService.putSecret;
    expect([...descriptors.secrets()]).to.deep.equal([path]);
    for (const secrets of [descriptors.secrets(), new Set<string>()]) {
      let arrives: (piece: Buffer) => void = () => undefined;
      const stream: StreamControl = {
        encoding: undefined,
        reset: () => undefined,
        wasReset: () => false,
        sent: () => undefined,
        onPiece: (listener) => {
          arrives = listener;
        },
      };
      const interceptor = accessInterceptor(
        {
          rules: descriptors.accessRules(),
          authenticate: () => ANONYMOUS,
          limits: { messageBytes: 100, strangerMessageBytes: 100, request: seconds(1) },
          secrets,
        },
        {
          clock: new FakeClock(),
          translator: new StatusTranslator({ log: silentLogger, random: systemRandom }),
          onRefused: () => undefined,
          streamOfNewCall: () => stream,
        },
      );
      const told: number[] = [];
      const next = { getPeer: () => '', sendStatus: ({ code }: { code: number }) => told.push(code) };
      const call = interceptor({ ...SecretServiceService.putSecret, type: 'unary' } as never, next as never);
      const pieces = ['hun', 'ter2'].map((text) => Buffer.from(text));
      for (const piece of pieces) arrives(piece);
      expect(Buffer.concat(pieces).toString(), 'while it lasts').to.equal('hunter2');
      call.sendStatus({ code: 0, details: '' });
      expect(told).to.deep.equal([0]);
      expect(Buffer.concat(pieces).equals(Buffer.alloc(7)), 'and nowhere else').to.equal(secrets.size > 0);
    }
  });

  it('do not let a hub use what tokens are for', async () => {
    await using edge = await linkEdge();
    const fault = await faultOf(edge.channel('hub').unary(ReadingServiceService.getLedger, NOTHING));
    expect(fault.code).to.equal('contract.denied');
  });

  it('refuse a method without a rule when it is added, and an empty rule when it is called', async () => {
    const pki = await testPki();
    const access = { authenticate: authenticator(pki) };
    const link = async () => {};
    await using none = await Edge.make({ access: { ...access, rules: new Map() } });
    expect(() => none.listener.add(LinkServiceService, { link })).to.throw(ContractFault, 'who may call');
    await using empty = await Edge.make({
      access: { ...access, rules: new Map([[LinkServiceService.link.path, []]]) },
    });
    empty.listener.add(LinkServiceService, { link });
    await empty.listener.start();
    const stream = empty.channel('hub').byteStream(LinkServiceService.link);
    expect((await stream.closed)?.code).to.equal('contract.denied');
  });

  it('pass on what authentication says, and hide what breaks in it', async () => {
    const rules = loadDescriptors().accessRules();
    const fail = async (thrown: Error) => {
      const authenticate = () => {
        throw thrown;
      };
      await using edge = await Edge.make({ access: { rules, authenticate } });
      edge.listener.add(LinkServiceService, { link: async () => {} });
      await edge.listener.start();
      return await edge.channel('hub').byteStream(LinkServiceService.link).closed;
    };
    expect((await fail(new ContractFault('contract.denied', 'revoked')))?.message).to.contain('revoked');
    const hidden = await fail(new Error('password=hunter2'));
    expect(hidden?.code).to.equal('contract.internal');
    expect(hidden?.message).to.contain('incident').and.not.contain('hunter2');
  });
});
