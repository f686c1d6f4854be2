// What the program loads to be a hub. It runs for years on somebody else's machine, and whatever is imported stays in its
// memory: a new name here is a decision. What is rarely needed is loaded by `import()` when it is, and not counted.
import { readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { expect } from 'chai';

const ROOT = resolve(import.meta.dirname, '../..');

const PACKAGES = ['@bufbuild/protobuf', '@grpc/grpc-js', 'classic-level', 'commander', 'node-ssdp', 'pino', 'zod'];
const CONTRACTS = ['enrollment', 'link', 'telemetry', 'trunk'];

/** What a module imports at once; what is only a type is gone when it runs. */
function importsOf(source: string): string[] {
  return [...source.matchAll(/^(?:import|export)\s+(?!type\b)(?:[^';]*?from\s+)?['"]([^'"]+)['"]/gm)]
    .filter(([statement]) => !/\{(\s*type\s+[^,}]+,?)+\s*\}/.test(statement))
    .map((match) => match[1] ?? '');
}

/** Every file that is loaded with these, and every package. */
function loadedWith(...entries: readonly string[]): { readonly files: string[]; readonly packages: Set<string> } {
  const files = new Set<string>();
  const packages = new Set<string>();
  const waiting = entries.map((entry) => join(ROOT, entry));
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (files.has(path)) continue;
    files.add(path);
    for (const name of importsOf(readFileSync(path, 'utf8'))) {
      if (name.startsWith('.')) waiting.push(resolve(dirname(path), name.replace(/\.js$/, '.ts')));
      else if (!name.startsWith('node:')) packages.add(/^(@[^/]+\/)?[^/]+/.exec(name)?.[0] ?? name);
    }
  }
  return { files: [...files].map((path) => relative(ROOT, path)), packages };
}

describe('imports of a hub', () => {
  const { files, packages } = loadedWith('src/cli/main.ts', 'src/cli/commands/hub.ts');

  it('are these packages and no other', () => {
    expect([...packages].sort()).to.deep.equal(PACKAGES);
  });

  it('have nothing of the cloud, of the connector, of operators and of services', () => {
    expect(files.length).to.be.greaterThan(100);
    const ofOthers = files.filter((path) => /^src\/(cloud|connector|client|conformance|demo|metrics)\//.test(path));
    // It has the words of a setting of the cloud, and brings nothing else along.
    expect(ofOthers).to.deep.equal(['src/cloud/notify/email.ts']);
    const commands = files.filter((path) => path.startsWith('src/cli/commands/'));
    expect(commands).to.deep.equal(['src/cli/commands/hub.ts']);
    const contracts = files.flatMap((path) => /^gen\/occmesh\/(\w+)\//.exec(path)?.[1] ?? []);
    expect(new Set(contracts)).to.deep.equal(new Set(CONTRACTS));
  });

  it('are found where they are written, types apart (negative control)', () => {
    const source = [
      "import { A } from 'a';",
      "import 'b';",
      "import {\n  type C,\n  D,\n} from './c.js';",
      "export { E } from 'e';",
      "import type { F } from 'f';",
      "import { type G, type H } from 'g';",
      "  const { I } = await import('i');",
    ].join('\n');
    expect(importsOf(source)).to.deep.equal(['a', 'b', './c.js', 'e']);
    const { packages: ofAll } = loadedWith('src/cli/commands/tokens.ts', 'src/identity/csr.ts', 'src/cloud/cloud.ts');
    expect([...ofAll]).to.include.members(['yaml', 'cli-table3', '@peculiar/x509', 'croner']);
  });
});
