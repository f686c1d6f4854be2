// Where things are on this platform, unless somebody says otherwise.
import { join } from 'node:path';
import type { Terminal } from './terminal.js';

export type RoleName = 'cloud' | 'connector' | 'hub';

/** The data directory of a role that runs as a service. */
export function defaultDataDirectory(role: RoleName, terminal: Terminal): string {
  switch (terminal.platform) {
    case 'win32':
      return join(terminal.env.ProgramData ?? 'C:\\ProgramData', 'occ', role);
    case 'darwin':
      return join('/Library/Application Support/occ', role);
    default:
      return join('/var/lib/occ', role);
  }
}

/** The file that says how to reach the cloud (client-file.ts). */
export function defaultClientFile(terminal: Terminal): string {
  const fallback = join(terminal.home, '.config');
  const base = terminal.platform === 'win32' ? terminal.env.APPDATA : terminal.env.XDG_CONFIG_HOME;
  return join(base || fallback, 'occ', 'client.yaml');
}
