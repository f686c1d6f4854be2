// The proto files themselves: lint, format, compatibility with what was released, and conventions that no linter
// knows. Who may call what is tested in access.test.ts.
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fromBinary } from '@bufbuild/protobuf';
import {
  type DescriptorProto,
  type EnumDescriptorProto,
  type FileDescriptorProto,
  FileDescriptorSetSchema,
} from '@bufbuild/protobuf/wkt';
import { expect } from 'chai';
import { Caller } from '../../gen/occmesh/access/v1/access.js';
import { loadDescriptors } from '../../src/contract/descriptors.js';
import { ROOT, run } from '../support/programs.js';

const BUF = join(ROOT, 'node_modules/.bin/buf');

/** What clients of each release were made from: `make gen`'s descriptors of that release, never changed again. */
const RELEASED = join(ROOT, 'test/contract/golden/contract');

async function ownFiles(): Promise<FileDescriptorProto[]> {
  const directory = await mkdtemp(join(tmpdir(), 'proto-'));
  try {
    const file = join(directory, 'with-comments.binpb');
    expect(await run(BUF, ['build', '--as-file-descriptor-set', '-o', file])).to.include({ code: 0 });
    const set = fromBinary(FileDescriptorSetSchema, await readFile(file));
    return set.file.filter(({ name }) => name.startsWith('occmesh/'));
  } finally {
    await rm(directory, { recursive: true });
  }
}

interface Commented {
  readonly name: string;
  readonly comment: string;
}

/** The leading comment of the element at a path, as descriptor.proto numbers it. */
function commentAt(file: FileDescriptorProto, path: readonly number[]): string {
  const found = file.sourceCodeInfo?.location.find((location) => location.path.join() === path.join());
  return found?.leadingComments.replaceAll(/\s+/g, ' ').trim() ?? '';
}

function rpcs(file: FileDescriptorProto): Commented[] {
  return file.service.flatMap((service, s) =>
    service.method.map((method, m) => ({
      name: `${file.package}.${service.name}/${method.name}`,
      comment: commentAt(file, [6, s, 2, m]),
    })),
  );
}

function fields(file: FileDescriptorProto): Commented[] {
  return file.messageType.flatMap((message, m) =>
    message.field.map((field, f) => ({
      name: `${message.name}.${field.name}`,
      comment: commentAt(file, [4, m, 2, f]),
    })),
  );
}

const allMessages = (messages: readonly DescriptorProto[]): DescriptorProto[] =>
  messages.flatMap((message) => [message, ...allMessages(message.nestedType)]);

const allEnums = (file: FileDescriptorProto): EnumDescriptorProto[] => [
  ...file.enumType,
  ...allMessages(file.messageType).flatMap(({ enumType }) => enumType),
];

/** Numbers below the highest that are neither used nor reserved: something was taken away and could come back. */
function holes(used: readonly number[], reserved: readonly { start: number; end: number }[], first: number): number[] {
  const highest = Math.max(first - 1, ...used);
  const all = Array.from({ length: highest - first + 1 }, (_, n) => n + first);
  return all.filter((n) => !used.includes(n) && !reserved.some(({ start, end }) => n >= start && n < end));
}

describe('proto files', () => {
  let files: FileDescriptorProto[] = [];
  before(async () => {
    files = await ownFiles();
  });

  it('pass the linter', async () => {
    expect(await run(BUF, ['lint'])).to.include({ code: 0 });
  });

  it('are formatted', async () => {
    expect(await run(BUF, ['format', '--diff', '--exit-code'])).to.include({ code: 0 });
  });

  it('break no client of any release, of which each has its descriptors kept', async () => {
    const images = (await readdir(RELEASED)).map((name) => name.replace(/\.binpb$/, ''));
    const { version } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as { version: string };
    expect(images).to.include(version.replace(/\.\d+$/, ''));
    for (const image of images) {
      expect(await run(BUF, ['breaking', '--against', join(RELEASED, `${image}.binpb`)]), image).to.include({
        code: 0,
      });
    }
  });

  it('would not pass with a field taken away (negative control)', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'proto-'));
    try {
      await cp(join(ROOT, 'proto'), join(directory, 'proto'), { recursive: true });
      await cp(join(ROOT, 'buf.yaml'), join(directory, 'buf.yaml'));
      const against = ['breaking', '--against', join(RELEASED, '0.1.binpb')];
      expect(await run(BUF, against, { cwd: directory })).to.include({ code: 0 });
      const trunk = join(directory, 'proto/occmesh/trunk/v1/trunk.proto');
      const text = await readFile(trunk, 'utf8');
      await writeFile(trunk, text.replace(/^ *uint32 hubs = .*$/m, ''));
      const { code, stdout } = await run(BUF, against, { cwd: directory });
      expect(code).to.not.equal(0);
      expect(stdout).to.contain('"hubs"');
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  it('say of every RPC whether a retry is safe', () => {
    const all = files.flatMap(rpcs);
    expect(all.length).to.be.greaterThan(20);
    expect(all.filter(({ comment }) => !/\bRetry: \w/.test(comment)).map(({ name }) => name)).to.deep.equal([]);
  });

  it('say nothing in comments about callers that the access option does not say', () => {
    const words: Readonly<Record<string, Caller>> = {
      anyone: Caller.ANYONE,
      'a hub': Caller.HUB,
      'a connector': Caller.CONNECTOR,
      operators: Caller.OPERATOR,
    };
    const rules = loadDescriptors().accessRules();
    const stated = files.flatMap(rpcs).filter(({ comment }) => /\bWho:/.test(comment));
    expect(stated.length).to.be.greaterThan(5);
    for (const { name, comment } of stated) {
      const [, who = ''] = /\bWho: ([^.,;]*)/.exec(comment) ?? [];
      expect(rules.get(`/${name}`), `${name}: ${who}`).to.deep.equal([words[who]]);
    }
  });

  it('say of every RPC for people whether it changes something, as its name does', () => {
    const descriptors = loadDescriptors();
    const rules = descriptors.accessRules();
    const forPeople = descriptors.methods().filter(({ path }) => rules.get(path)?.includes(Caller.OPERATOR));
    expect(forPeople.length).to.be.greaterThan(20);
    const changing = forPeople.filter(({ name }) => !/^(?:List|Get|Query|Aggregate|Watch|Prepare)/.test(name));
    expect([...descriptors.changes()].sort()).to.deep.equal(changing.map(({ path }) => path).sort());
  });

  it('let whoever changes something repeat the request', () => {
    const exceptions: Readonly<Record<string, string>> = {
      RunSensor: 'whoever asks again wants another run',
      TestChannel: 'whoever asks again wants another message',
      CreateBackup: 'its name is given by the caller: the second time is ALREADY_EXISTS',
      PutSecret: 'nothing derived from a secret is kept, so a repetition could not be told from another request',
    };
    const { registry, changes } = { registry: loadDescriptors().registry, changes: loadDescriptors().changes() };
    const methods = [...registry.files].flatMap((file) => file.services).flatMap((service) => service.methods);
    const without = methods
      .filter((method) => changes.has(`/${method.parent.typeName}/${method.name}`))
      .filter(({ input }) => input.fields.every(({ name }) => name !== 'request_id'));
    expect(without.map(({ name }) => name).sort()).to.deep.equal(Object.keys(exceptions).sort());
  });

  it('begin every enum with …_UNSPECIFIED = 0', () => {
    const all = files.flatMap(allEnums);
    expect(all.length).to.be.greaterThan(10);
    for (const { name, value } of all) {
      expect(value[0], name).to.include({ number: 0 });
      expect(value[0]?.name, name).to.match(/_UNSPECIFIED$/);
    }
  });

  it('leave no number open that once was used', () => {
    for (const message of files.flatMap(({ messageType }) => allMessages(messageType))) {
      const used = message.field.map(({ number }) => number);
      expect(holes(used, message.reservedRange, 1), message.name).to.deep.equal([]);
      expect(new Set(used).size, message.name).to.equal(used.length);
    }
    for (const { name, value, reservedRange } of files.flatMap(allEnums)) {
      // The end of an enum's reserved range belongs to it, unlike a message's.
      const reserved = reservedRange.map(({ start, end }) => ({ start, end: end + 1 }));
      expect(
        holes(
          value.map(({ number }) => number),
          reserved,
          0,
        ),
        name,
      ).to.deep.equal([]);
    }
  });

  it('say of every stored field since when', () => {
    const stored = files.filter(({ package: name }) => name === 'occmesh.store.v1').flatMap(fields);
    expect(stored).to.not.be.empty;
    expect(stored.filter(({ comment }) => !/\bSince \d+\.\d+\./.test(comment)).map(({ name }) => name)).to.deep.equal(
      [],
    );
  });

  it('name the unit of every time', () => {
    const times = files.flatMap(fields).filter(({ name }) => /_ms$/.test(name));
    expect(times.length).to.be.greaterThan(20);
    for (const { name } of files.flatMap(fields)) expect(name).to.not.match(/_(seconds|millis|time|timestamp)$/);
  });

  it('would be caught (negative control)', () => {
    expect(holes([1, 4], [{ start: 2, end: 3 }], 1)).to.deep.equal([3]);
    expect(holes([0, 2], [], 0)).to.deep.equal([1]);
    expect(holes([], [], 1)).to.deep.equal([]);
  });
});
