// The cloud's data directory:
//   ca/             the mesh CA (identity/authority-folder.ts)
//   node.json       this node's id
//   node.key        this node's P-256 key, PEM, 0600: TLS and signatures
//   enrollment.key  the X25519 key that enrolment requests are sealed to, PEM, 0600
//   notify.key      the secret that webhooks' keys are derived from, 0600
//   store/          everything else (tables.ts)
//   revoked.log     append-only, never rewound by a restore
//   operator.token  the first operator's API token, 0600, made at the first start
//   client.yaml     how the command line reaches this cloud

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isMissing, openKeyFile, writeFileDurably } from '../identity/key-file.js';
import { SigningKey } from '../identity/keys.js';
import { SealingKeyPair } from '../identity/sealing-keys.js';
import { newId } from '../identity/uuid.js';
import type { Clock } from '../kernel/clock.js';
import { makePrivateDirectory } from '../kernel/private-directory.js';
import type { Random } from '../kernel/random.js';

export interface NodeKeys {
  readonly nodeId: string;
  readonly key: SigningKey;
  readonly enrollment: SealingKeyPair;
}

export const cloudPaths = (directory: string) =>
  ({
    authority: join(directory, 'ca'),
    store: join(directory, 'store'),
    notifyKey: join(directory, 'notify.key'),
    operatorToken: join(directory, 'operator.token'),
    client: join(directory, 'client.yaml'),
    caBundle: join(directory, 'ca', 'ca.crt'),
  }) as const;

/** Reads this node's keys; makes them at the first start. */
export async function openNodeKeys(directory: string, modules: { clock: Clock; random: Random }): Promise<NodeKeys> {
  await makePrivateDirectory(directory);
  const key = await openKeyFile(join(directory, 'node.key'), SigningKey);
  const enrollment = await openKeyFile(join(directory, 'enrollment.key'), SealingKeyPair);
  const path = join(directory, 'node.json');
  let nodeId: string;
  try {
    nodeId = String((JSON.parse(await readFile(path, 'utf8')) as { id: unknown }).id);
  } catch (thrown) {
    if (!isMissing(thrown)) throw thrown;
    nodeId = newId(modules.random, modules.clock.now());
    await writeFileDurably(path, `${JSON.stringify({ v: 1, id: nodeId })}\n`, 0o644);
  }
  return { nodeId, key, enrollment };
}
