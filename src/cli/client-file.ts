// How the operators' commands find their cloud: client.yaml, which a cloud writes into its data directory.
//   cloud: occ.example:443      host:port
//   ca: ca/ca.crt               the mesh CA, PEM; relative to this file
//   tokenFile: operator.token   an API token, mode 0600; relative to this file
//   proxy: http://…             optional
import { access, constants } from 'node:fs/promises';
import { dirname } from 'node:path';
import { connect, type MeshClient } from '../client/index.js';
import { readSecretFile } from '../identity/key-file.js';
import { defined } from '../kernel/defined.js';
import { systemCode } from '../kernel/system-error.js';
import { loadYaml, readText } from './config/load.js';
import { fileSchema, one } from './config/settings.js';
import { CliFault } from './fault.js';
import { defaultClientFile } from './places.js';
import { proxyFor } from './proxy.js';
import type { Terminal } from './terminal.js';
import { address, anyText, path } from './values.js';

const KEYS = {
  cloud: one('--cloud', '', address),
  ca: one('--ca', '', path),
  tokenFile: one('--token-file', '', path),
  proxy: one('--proxy', '', anyText),
};

/** Which file counts: the one named, else OCC_CLIENT, else the user's own. */
function clientFile(named: string | undefined, terminal: Terminal): string {
  const fromEnvironment = terminal.env.OCC_CLIENT;
  return named ?? (fromEnvironment ? path(fromEnvironment, terminal.cwd) : defaultClientFile(terminal));
}

/** Faults: cli.config, identity.file-exposed, identity.file-unusable, identity.malformed. */
export async function openClient(named: string | undefined, terminal: Terminal): Promise<MeshClient> {
  const file = clientFile(named, terminal);
  const { cloud, ca, tokenFile, proxy } = await readClientFile(file);
  const way = proxyFor(cloud, proxy, terminal);
  for (const needed of [ca, tokenFile]) await requireBeside(file, needed);
  const token = (await readSecretFile(tokenFile)).toString('utf8').trim();
  return connect(
    {
      cloud,
      ca: await readText(ca),
      token,
      signal: terminal.interrupted,
      // Whoever sits before it decides.
      tries: 1,
      ...defined({ proxy: way }),
    },
    { clock: terminal.clock },
  );
}

interface ClientFile {
  readonly cloud: string;
  readonly ca: string;
  readonly tokenFile: string;
  readonly proxy?: string;
}

async function readClientFile(file: string): Promise<ClientFile> {
  const content = (await loadYaml(file, fileSchema(KEYS, dirname(file)), Object.keys(KEYS)).catch((thrown) => {
    const missing = thrown instanceof CliFault && systemCode(thrown.cause) === 'ENOENT';
    throw missing ? noClientFile(file) : thrown;
  })) as Partial<ClientFile>;
  const { cloud, ca, tokenFile, proxy } = content;
  if (cloud === undefined || ca === undefined || tokenFile === undefined) {
    throw new CliFault('cli.config', `${file}: cloud, ca and tokenFile must be there`, {
      advice: "Copy it anew from the cloud's data directory.",
    });
  }
  return { cloud, ca, tokenFile, ...defined({ proxy }) };
}

/** Whoever copies client.yaml alone is told what it needs. Faults: cli.config. */
async function requireBeside(file: string, needed: string): Promise<void> {
  await access(needed, constants.R_OK).catch((cause) => {
    if (systemCode(cause) !== 'ENOENT') {
      throw new CliFault('cli.config', `${file} names ${needed}, which cannot be read`, {
        cause,
        advice: 'Check who may read it.',
      });
    }
    throw new CliFault('cli.config', `${file} names ${needed}, which does not exist`, {
      advice: "Copy the CA and the API token with it; they are in the cloud's data directory, too.",
    });
  });
}

const noClientFile = (file: string): CliFault =>
  new CliFault('cli.config', `${file} does not exist, so it is not known which cloud is meant`, {
    advice: "Name the cloud's client.yaml (in its data directory) with --client FILE or OCC_CLIENT.",
  });
