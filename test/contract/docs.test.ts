// The API reference says everything that the contract says: each RPC, message, field and value, with its comment, and links
// that lead somewhere.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { Descriptors, loadDescriptors } from '../../src/contract/descriptors.js';
import { referenceOf } from '../docs/reference.js';
import { ROOT, run } from '../support/programs.js';

type Pages = ReadonlyMap<string, string>;

async function pages(): Promise<Pages> {
  const directory = await mkdtemp(join(tmpdir(), 'docs-'));
  try {
    const file = join(directory, 'with-comments.binpb');
    const buf = join(ROOT, 'node_modules/.bin/buf');
    expect(await run(buf, ['build', '--as-file-descriptor-set', '-o', file])).to.include({ code: 0 });
    return referenceOf(new Descriptors(await readFile(file)));
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** What of the contract, as it is compiled into the program, does not stand there, or without a word. */
function missing(reference: Pages): string[] {
  const found: string[] = [];
  for (const file of loadDescriptors().registry.files) {
    if (!file.name.startsWith('occmesh/')) continue;
    const lines = new Set((reference.get(`${file.proto.package}.md`) ?? '').split('\n'));
    const says = (what: string, line: RegExp) => {
      if (![...lines].some((one) => line.test(one))) found.push(what);
    };
    for (const service of file.services)
      for (const { name } of service.methods)
        says(name, new RegExp(`^#### .*"${service.typeName}\\.${name}".*>${name}$`));
    for (const message of file.messages) {
      says(message.typeName, new RegExp(`^### .*"${message.typeName}"`));
      for (const { name, number } of message.fields)
        says(`${message.typeName}.${name}`, new RegExp(`^\\| \`${name}\` \\| ${number} \\| .+ \\| \\S.* \\|$`));
    }
    for (const one of file.enums)
      for (const { name, number } of one.values)
        says(name, new RegExp(`^\\| \`${name}\` \\| ${number} \\| \\S.* \\|$`));
  }
  return found;
}

describe('the API reference', () => {
  let reference: Pages;
  before(async () => {
    reference = await pages();
  });

  it('has a page for each package, and says everything', () => {
    expect([...reference.keys()]).to.include.members([
      'occmesh.inventory.v1.md',
      'occmesh.events.v1.md',
      'google.rpc.md',
    ]);
    expect(missing(reference)).to.deep.equal([]);
  });

  it('would be found wanting without a field or an RPC (negative control)', () => {
    const page = reference.get('occmesh.inventory.v1.md') ?? '';
    const without = (line: RegExp) => new Map(reference).set('occmesh.inventory.v1.md', page.replace(line, ''));
    expect(missing(without(/^\| `lan_addresses` .*$/m))).to.deep.equal(['occmesh.inventory.v1.Machine.lan_addresses']);
    expect(missing(without(/^#### .*RetireMachine$/m))).to.deep.equal(['RetireMachine']);
  });

  it('says who may call, what changes something, and what may go wrong', () => {
    const page = reference.get('occmesh.inventory.v1.md') ?? '';
    const [, after = ''] = page.split('#### <a id="occmesh.inventory.v1.SensorService.CreateSensor"></a>CreateSensor');
    const [rpc = ''] = after.split('\n#### ');
    expect(rpc).to.contain(
      '[CreateSensorRequest](occmesh.inventory.v1.md#occmesh.inventory.v1.CreateSensorRequest) → [Sensor]',
    );
    expect(rpc).to.contain('`OPERATOR`, `CUSTOMER_ADMIN`').and.contain('services with `INVENTORY_WRITE`');
    expect(rpc).to.contain('audit log').and.contain('`FAILED_PRECONDITION`').and.contain('Retry: ');
  });

  it('has links that lead somewhere', () => {
    const anchors = new Set(
      [...reference].flatMap(([name, text]) =>
        [...text.matchAll(/<a id="([^"]+)">/g)].map(([, id]) => `${name}#${id}`),
      ),
    );
    const links = [...reference.values()].flatMap((text) => [...text.matchAll(/\]\(([^):]+\.md#[^)]+)\)/g)]);
    expect(links.length).to.be.greaterThan(200);
    expect(links.map(([, to]) => to).filter((to) => !anchors.has(to ?? ''))).to.deep.equal([]);
  });
});
