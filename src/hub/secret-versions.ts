// Which versions of secrets this hub has seen, so that none comes back: `secrets.json` in its directory, replaced durably
// before a desired state is put into effect. It holds numbers only.
//
// A secret's version is that of the desired state that introduced it. So one that is in no state up to `seen` but says
// that it is as old was removed, or comes from a restored backup: refused, like one that is older than a known one.
import { readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { DesiredState } from '../../gen/occmesh/link/v1/link.js';
import { writeFileDurably } from '../kernel/durable-file.js';
import { describe } from '../kernel/fault.js';
import type { Logger } from '../kernel/log.js';
import { undefinedIfMissing } from '../kernel/system-error.js';

const MEMORY = z.object({
  v: z.literal(1),
  /** Version of the last desired state. */
  seen: z.int().nonnegative(),
  /** Highest version by sensor number and field (`7/password`), of what that state holds. */
  versions: z.record(z.string(), z.int().nonnegative()),
});
type Memory = z.infer<typeof MEMORY>;

export class SecretVersions {
  #refused: ReadonlySet<string> = new Set();

  private constructor(
    private readonly path: string,
    private memory: Memory,
  ) {}

  static async open(directory: string, log: Logger): Promise<SecretVersions> {
    const path = join(directory, 'secrets.json');
    const nothing: Memory = { v: 1, seen: 0, versions: {} };
    const text = await readFile(path, 'utf8').catch(undefinedIfMissing);
    if (text === undefined) return new SecretVersions(path, nothing);
    try {
      return new SecretVersions(path, MEMORY.parse(JSON.parse(text)));
    } catch (thrown) {
      // What is left is that desired states as a whole never go back.
      log.error({ cause: describe(thrown) }, 'the versions of secrets seen so far cannot be read; set aside');
      await rename(path, `${path}.damaged`);
      return new SecretVersions(path, nothing);
    }
  }

  /** Before the state is put into effect: judges its secrets, and remembers them. Rejects when it cannot be written. */
  async take({ version, sensors }: DesiredState): Promise<void> {
    const { seen, versions } = this.memory;
    const refused = new Set<string>();
    const next: Memory = { v: 1, seen: Math.max(seen, version), versions: {} };
    for (const { number, secrets } of sensors) {
      for (const secret of secrets) {
        const name = nameOf(number, secret.field);
        const known = Object.hasOwn(versions, name) ? versions[name] : undefined;
        if (known === undefined ? secret.version <= seen : secret.version < known) {
          refused.add(`${name}/${secret.version}`);
          if (known !== undefined) next.versions[name] = known;
        } else next.versions[name] = secret.version;
      }
    }
    const isNothing = (memory: Memory) => Object.keys(memory.versions).length === 0;
    // A hub without secrets has nothing to remember.
    if (!isNothing(next) || !isNothing(this.memory)) await writeFileDurably(this.path, JSON.stringify(next));
    this.memory = next;
    this.#refused = refused;
  }

  isRefused(sensor: number, { field, version }: { readonly field: string; readonly version: number }): boolean {
    return this.#refused.has(`${nameOf(sensor, field)}/${version}`);
  }
}

const nameOf = (sensor: number, field: string): string => `${sensor}/${field}`;
