// `make docs`: writes the API reference.
//
//   node --import tsx test/docs/main.ts DESCRIPTORS FOLDER
//
// DESCRIPTORS are what `buf build --as-file-descriptor-set` writes.
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Descriptors } from '../../src/contract/descriptors.js';
import { referenceOf } from './reference.js';

const [descriptors, folder] = process.argv.slice(2);
if (descriptors === undefined || folder === undefined) throw new Error('usage: main.ts DESCRIPTORS FOLDER');
const pages = referenceOf(new Descriptors(await readFile(descriptors)));
await rm(folder, { recursive: true, force: true });
await mkdir(folder, { recursive: true });
for (const [name, text] of pages) await writeFile(join(folder, name), text);
process.stderr.write(`The API reference is in ${folder}: ${pages.size} pages, one for each package\n`);
