// API tokens: who they speak for, until when, and that no secret is ever in the store.
import { expect } from 'chai';
import { Caller, Scope } from '../../../../gen/occmesh/access/v1/access.js';
import { MOST } from '../../../../src/cloud/quotas.js';
import { parseApiToken } from '../../../../src/identity/api-token.js';
import { minutes } from '../../../../src/kernel/duration.js';
import { Scope as Scope_ } from '../../../../src/kernel/scope.js';
import { codeOf, TestCloud } from './fixture.js';

describe('inventory: API tokens', () => {
  it('speak for their caller and customer, also after a restart', async () => {
    await using cloud = await TestCloud.start();
    const { id: customerId } = await cloud.customer('one');
    const wanted = { caller: Caller.CUSTOMER_ADMIN, customerId, lifetimeMs: 0, name: 'ci' } as const;
    const { text, token } = await cloud.inventory.tokens.createApi(wanted);
    await cloud.restart();
    expect(cloud.inventory.tokens.authenticate(text)).to.deep.equal({
      kind: 'user',
      tokenId: token.id,
      caller: Caller.CUSTOMER_ADMIN,
      customerId,
    });
  });

  it('are nothing with another secret, after their time, or revoked', async () => {
    await using cloud = await TestCloud.start();
    const { tokens } = cloud.inventory;
    const { id: customerId } = await cloud.customer('one');
    const wanted = { caller: Caller.CUSTOMER_READER, customerId, lifetimeMs: 60_000, name: '' } as const;
    const [one, two] = [await tokens.createApi(wanted), await tokens.createApi(wanted)];
    const mixed = `occ_${Buffer.concat([parseApiToken(one.text)?.id ?? '', parseApiToken(two.text)?.secret ?? ''] as Buffer[]).toString('base64url')}`;
    expect(tokens.authenticate(mixed)).to.equal(undefined);
    for (const text of ['', 'occ_', 'occ_AAAA', `${one.text}A`, one.text.slice(4)]) {
      expect(tokens.authenticate(text), text).to.equal(undefined);
    }
    expect(tokens.authenticate(one.text)).to.not.equal(undefined);
    await tokens.revoke(one.token.id);
    expect(tokens.authenticate(one.text)).to.equal(undefined);
    await cloud.clock.advance(minutes(1));
    expect(tokens.authenticate(two.text)).to.equal(undefined);
  });

  it('of services have scopes, and may be for all customers', async () => {
    await using cloud = await TestCloud.start();
    const scopes = [Scope.READINGS_READ, Scope.EVENTS_WRITE];
    const wanted = { caller: Caller.SERVICE, scopes, customerId: undefined, lifetimeMs: 0, name: 'billing' } as const;
    const { text, token } = await cloud.inventory.tokens.createApi(wanted);
    await cloud.restart();
    const bearer = { kind: 'user', tokenId: token.id, caller: Caller.SERVICE, scopes };
    expect(cloud.inventory.tokens.authenticate(text)).to.deep.equal(bearer);
  });

  it('know when they were last used: at once, and after a restart give or take a minute', async () => {
    await using cloud = await TestCloud.start();
    const wanted = { caller: Caller.OPERATOR, customerId: undefined, lifetimeMs: 0, name: '' } as const;
    const { text, token } = await cloud.inventory.tokens.createApi(wanted);
    const lastUsed = () => {
      const found = cloud.inventory.tokens.get(token.id);
      return found?.kind === 'api' ? cloud.inventory.tokens.uses.lastOf(found) : undefined;
    };
    const scope = new Scope_();
    cloud.inventory.tokens.uses.keep(scope);
    expect(lastUsed()).to.equal(0);
    await cloud.clock.advance(minutes(2));
    cloud.inventory.tokens.authenticate(`${text}x`);
    expect(lastUsed(), 'whoever does not know it does not use it').to.equal(0);
    const at = cloud.clock.now();
    const before = await cloud.dump();
    for (let i = 0; i < 100; i++) cloud.inventory.tokens.authenticate(text);
    expect(lastUsed()).to.equal(at);
    expect((await cloud.dump()).equals(before), 'no call waits for it').to.equal(true);
    await cloud.clock.advance(minutes(1));
    const written = await cloud.dump();
    expect(written.equals(before)).to.equal(false);
    await cloud.clock.advance(minutes(5));
    expect((await cloud.dump()).equals(written), 'nothing new').to.equal(true);
    await cloud.inventory.tokens.revoke(token.id);
    await scope.stop();
    await cloud.restart();
    expect(lastUsed()).to.equal(at);
    expect(cloud.inventory.tokens.isInForce(token.id)).to.equal(false);
  });

  it('are a thousand of each customer at most; those that have ended give way', async () => {
    await using cloud = await TestCloud.start();
    const { tokens } = cloud.inventory;
    const [one, two] = [await cloud.customer('one'), await cloud.customer('two')];
    const wanted = (customerId: string) =>
      ({ caller: Caller.CUSTOMER_READER, customerId, lifetimeMs: 0, name: '' }) as const;
    const made = [];
    for (let i = 0; i < MOST.tokens; i++) made.push((await tokens.createApi(wanted(one.id))).token.id);
    expect(await codeOf(tokens.createApi(wanted(one.id)))).to.equal('inventory.exhausted');
    await tokens.createApi(wanted(two.id));
    await tokens.revoke(made[5] ?? '');
    await tokens.createApi(wanted(one.id));
    expect([...tokens.list(one.id)]).to.have.length(MOST.tokens);
    expect(tokens.get(made[5] ?? '')).to.equal(undefined);
    expect(tokens.isInForce(made[6] ?? '')).to.equal(true);
  });

  it('never have their secret in the store, and neither have enrolment tokens', async () => {
    await using cloud = await TestCloud.start();
    const { id: customerId } = await cloud.customer('one');
    const wanted = { caller: Caller.CUSTOMER_ADMIN, customerId, lifetimeMs: 0, name: '' } as const;
    const { text, token } = await cloud.inventory.tokens.createApi(wanted);
    const { secret } = await cloud.token(customerId, 'hub');
    const dump = await cloud.dump();
    const secrets = [parseApiToken(text)?.secret ?? Buffer.alloc(0), secret];
    for (const bytes of secrets) {
      for (const encoding of ['latin1', 'hex', 'base64', 'base64url'] as const) {
        expect(dump.includes(Buffer.from(Buffer.from(bytes).toString(encoding), 'latin1')), encoding).to.equal(false);
      }
    }
    // The search finds what is there: the id and the hash.
    expect(dump.includes(token.id)).to.equal(true);
    expect(dump.includes(token.secretHash)).to.equal(true);
  });
});

describe('inventory: the first operator', () => {
  it('gets a token once, which works after a restart', async () => {
    await using cloud = await TestCloud.start();
    const kept: string[] = [];
    const keep = async (text: string) => void kept.push(text);
    expect(await cloud.inventory.tokens.ensureOperator(keep)).to.equal(true);
    await cloud.restart();
    expect(await cloud.inventory.tokens.ensureOperator(keep)).to.equal(false);
    expect(kept).to.have.length(1);
    expect(cloud.inventory.tokens.authenticate(kept[0] ?? '')).to.include({ caller: Caller.OPERATOR });
  });

  it('is not locked out by a crash before the token was recorded', async () => {
    await using cloud = await TestCloud.start();
    let file = '';
    const keep = async (text: string) => {
      file = text;
    };
    cloud.store.failNextWrite();
    expect(await codeOf(cloud.inventory.tokens.ensureOperator(keep))).to.equal('storage.write-failed');
    const useless = file;
    await cloud.restart();
    expect(await cloud.inventory.tokens.ensureOperator(keep)).to.equal(true);
    expect(file).to.not.equal(useless);
    expect(cloud.inventory.tokens.authenticate(useless)).to.equal(undefined);
    expect(cloud.inventory.tokens.authenticate(file)).to.not.equal(undefined);
  });

  it('gets no token that could not be kept', async () => {
    await using cloud = await TestCloud.start();
    const failing = cloud.inventory.tokens.ensureOperator(() => Promise.reject(new Error('disk full')));
    expect(await codeOf(failing)).to.match(/disk full/);
    expect(cloud.inventory.tokens.hasOperator).to.equal(false);
  });
});
