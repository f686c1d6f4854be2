// The order of folders: lower ones never import higher ones, roles never import one another, and raw time, randomness,
// environment and console stay where they belong.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { expect } from 'chai';

const ROOT = resolve(import.meta.dirname, '../..');
const SRC = join(ROOT, 'src');

/** What each folder may import, besides itself and gen. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  kernel: [],
  identity: ['kernel'],
  storage: ['kernel'],
  contract: ['kernel'],
  metrics: ['kernel'],
  telemetry: ['kernel'],
  discovery: ['kernel', 'identity'],
  sensors: ['kernel', 'telemetry'],
  wal: ['kernel', 'storage', 'telemetry', 'identity'],
  link: ['kernel', 'identity', 'contract', 'telemetry'],
  trunk: ['kernel', 'link'],
  membership: ['kernel', 'identity', 'contract', 'discovery'],
  hub: ['kernel', 'identity', 'storage', 'contract', 'telemetry', 'discovery', 'sensors', 'wal', 'link', 'membership'],
  connector: ['kernel', 'identity', 'contract', 'telemetry', 'discovery', 'link', 'trunk', 'membership'],
  cloud: ['kernel', 'identity', 'storage', 'contract', 'telemetry', 'sensors', 'link', 'trunk'],
  client: ['kernel', 'identity', 'contract'],
  cli: ['*'],
  demo: ['*'],
  examples: ['client'],
  conformance: ['kernel', 'identity', 'contract', 'telemetry', 'link', 'client', 'cli'],
};

/** The folders of the cloud: each imports only those before it. Its single files are what puts them together. */
const CLOUD = [
  ...['tables', 'quotas', 'records', 'inventory', 'telemetry', 'states', 'events', 'alarms', 'metrics', 'sessions'],
  ...['notify', 'monitoring', 'backup', 'enrollment', 'api', 'openmetrics'],
];

/** Patterns that only the named folders may contain. */
const RESERVED: readonly (readonly [RegExp, string, readonly string[]])[] = [
  [/\bDate\.now\(\)|\bsetTimeout\(|\bsetInterval\(|\bperformance\.now\(/, 'raw time', ['kernel', 'demo']],
  [/\bMath\.random\(/, 'raw randomness', ['kernel']],
  // It may stop the process for ever: see src/identity/x25519.ts.
  [/\.export\(\s*\{[^}]*jwk/, 'keys exported as JWK', []],
  [/\bprocess\.(env|argv|exit)\b/, 'environment, arguments, exit', ['cli', 'demo', 'conformance', 'examples']],
];

function files(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name);
    return entry.isDirectory() ? files(path) : entry.name.endsWith('.ts') ? [path] : [];
  });
}

const folderOf = (path: string): string => relative(SRC, path).split('/')[0] ?? '';

function importsOf(source: string): string[] {
  return [...source.matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g)].map((match) => match[1] ?? '');
}

describe('architecture', () => {
  const sources = files(SRC).map((path) => ({ path, text: readFileSync(path, 'utf8') }));

  it('knows every folder of src', () => {
    expect(new Set(sources.map(({ path }) => folderOf(path)))).to.satisfy((found: Set<string>) =>
      [...found].every((folder) => folder in ALLOWED),
    );
  });

  it('imports only downwards', () => {
    const wrong = sources.flatMap(({ path, text }) => {
      const folder = folderOf(path);
      const allowed = ALLOWED[folder] ?? [];
      return importsOf(text)
        .map((target) => relative(ROOT, resolve(dirname(path), target)))
        .filter((target) => target.startsWith('src/'))
        .map((target) => target.split('/')[1] ?? '')
        .filter((target) => target !== folder && !allowed.includes(target) && !allowed.includes('*'))
        .map((target) => `${relative(ROOT, path)} imports ${target}`);
    });
    expect(wrong).to.deep.equal([]);
    expect(sources.length).to.be.greaterThan(50);
  });

  /** What the folders of the cloud import of those that come after them. */
  function upwards(all: typeof sources): string[] {
    const partOf = (path: string) => /^src\/cloud\/([^/.]+)/.exec(path)?.[1] ?? '';
    return all.flatMap(({ path, text }) => {
      const part = CLOUD.indexOf(partOf(relative(ROOT, path)));
      if (part < 0) return [];
      return importsOf(text)
        .map((target) => relative(ROOT, resolve(dirname(path), target)))
        .filter((target) => target.startsWith('src/cloud/') && !CLOUD.slice(0, part + 1).includes(partOf(target)))
        .map((target) => `${relative(ROOT, path)} imports ${target}`);
    });
  }

  it('imports only downwards within the cloud, too', () => {
    expect(upwards(sources)).to.deep.equal([]);
    const parts = readdirSync(join(SRC, 'cloud'), { withFileTypes: true }).filter((entry) => entry.isDirectory());
    expect(parts.map(({ name }) => name).filter((name) => !CLOUD.includes(name))).to.deep.equal([]);
    const wrong = { path: join(SRC, 'cloud/records/table.ts'), text: "import '../inventory/machines.js';" };
    expect(upwards([wrong]), 'negative control').to.have.length(1);
  });

  for (const [pattern, what, folders] of RESERVED) {
    it(`keeps ${what} in ${folders.join(' and ')}`, () => {
      const wrong = sources
        .filter(({ path, text }) => !folders.includes(folderOf(path)) && pattern.test(stripComments(text)))
        .map(({ path }) => relative(ROOT, path));
      expect(wrong).to.deep.equal([]);
    });
  }

  it('begins every file with what lives in it', () => {
    const wrong = sources
      .filter(({ text }) => !/^(#!.*\n)?(\/\/|\/\*)/.test(text))
      .map(({ path }) => relative(ROOT, path));
    expect(wrong).to.deep.equal([]);
  });

  it('would notice a wrong import (negative control)', () => {
    expect(importsOf("import { x } from '../cloud/cloud.js';")).to.deep.equal(['../cloud/cloud.js']);
    expect(/\bDate\.now\(\)/.test(stripComments('const t = Date.now();'))).to.equal(true);
  });
});

function stripComments(text: string): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/(^|\s)\/\/.*$/gm, '');
}
