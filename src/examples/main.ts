// `make example`: an overview of a cloud's machines, then ten seconds of what happens. It takes the client.yaml that a cloud
// writes into its data directory, or any other with these three keys.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parse } from 'yaml';
import { connect } from '../client/index.js';
import { follow, overview } from './service.js';

const [file = 'client.yaml', seconds = '10'] = process.argv.slice(2);
if (!existsSync(file)) {
  process.stderr.write(`${file} does not exist. Start a cloud first (make cloud), or name the client.yaml of one.\n`);
  process.exit(1);
}
const { cloud, ca, tokenFile } = parse(readFileSync(file, 'utf8')) as Record<'cloud' | 'ca' | 'tokenFile', string>;
const beside = (path: string) => readFileSync(resolve(dirname(file), path), 'utf8');
const tell = (line: string) => void process.stdout.write(`${line}\n`);

// The token is asked for before every call: whoever replaces the file need not start this anew.
await using client = connect({ cloud, ca: beside(ca), token: () => beside(tokenFile) });
await overview(client, tell);
const over = AbortSignal.timeout(Number(seconds) * 1_000);
for await (const { position, what } of follow(client, over)) tell(`${position} ${what?.$case ?? ''}`);
