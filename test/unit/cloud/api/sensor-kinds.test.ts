// ListSensorKinds: what a client needs to build a form, and that the form's schema says what CreateSensor accepts.
import { expect } from 'chai';
import { CATALOGUE } from '../../../../src/sensors/catalogue.js';
import { adminOf, OPERATOR, readerOf, TestApi } from './fixture.js';

/** What of a JSON schema is looked at here. */
interface Schema {
  readonly type: string;
  readonly additionalProperties: boolean;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, { default?: unknown; description?: string; enum?: unknown[] }>>;
}

describe('inventory API: kinds of sensors', () => {
  const kinds = async (principal = OPERATOR) => {
    await using api = await TestApi.start();
    return (await api.call('listSensorKinds', principal, {})).kinds;
  };

  it('are all there, for everybody', async () => {
    const all = await kinds();
    expect(all.map(({ name }) => name)).to.deep.equal(Object.keys(CATALOGUE).sort());
    expect(await kinds(adminOf('c'))).to.deep.equal(all);
    expect(await kinds(readerOf('c'))).to.deep.equal(all);
  });

  it('come with schema, metrics, defaults and secrets', async () => {
    const http = (await kinds()).find(({ name }) => name === 'http');
    const schema = http?.settingsSchema as unknown as Schema;
    expect(schema).to.include({ type: 'object', additionalProperties: false });
    expect(schema.required).to.deep.equal(['url']);
    expect(schema.properties?.redirects).to.include({ default: 5, description: 'How many to follow' });
    expect(schema.properties?.auth?.enum).to.deep.equal(['none', 'basic', 'bearer']);
    expect(http).to.deep.include({ defaultIntervalMs: 60_000, defaultTimeoutMs: 20_000, defaultThresholds: [] });
    expect(http?.metrics).to.include('first-byte');
    expect(http?.secrets).to.deep.equal([
      { name: 'password', summary: 'Password for auth=basic', required: false },
      { name: 'token', summary: 'Token for auth=bearer', required: false },
    ]);
    const cpu = (await kinds()).find(({ name }) => name === 'cpu');
    expect(cpu?.defaultThresholds).to.deep.equal([{ metric: 'usage', warning: '90', critical: '98' }]);
    expect(cpu?.secrets).to.deep.equal([]);
  });

  it('have no secret among their settings', async () => {
    for (const { name, settingsSchema, secrets } of await kinds()) {
      const settings = Object.keys((settingsSchema as unknown as Schema).properties ?? {});
      const hidden = settings.filter((key) => /password|token|passphrase|community/i.test(key));
      expect(hidden, name).to.deep.equal([]);
      // Except `exec`, whose setting says how its secret is handed over.
      if (name !== 'exec') expect(secrets.filter((secret) => settings.includes(secret.name))).to.deep.equal([]);
    }
  });
});
