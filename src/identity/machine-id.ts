// Which machine this is, for telling a cloned data directory from a moved one. The operating system's own id never
// leaves the machine: only its SHA-256 with a fixed prefix does (as man 5 machine-id asks for).
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';

const PREFIX = 'occ-mesh/machine-id/v1\0';
const COMMAND_TIMEOUT_MS = 5_000;

/** What this file needs of the operating system. Both give undefined when there is nothing. */
export interface MachineIdReader {
  readonly platform: NodeJS.Platform;
  readFile(path: string): Promise<string | undefined>;
  run(command: string, args: readonly string[]): Promise<string | undefined>;
}

const systemReader: MachineIdReader = {
  platform: process.platform,
  readFile: (path) => readFile(path, 'utf8').catch(() => undefined),
  run: (command, args) =>
    new Promise((resolve) => {
      execFile(command, [...args], { timeout: COMMAND_TIMEOUT_MS, windowsHide: true }, (error, stdout) => {
        resolve(error ? undefined : stdout);
      });
    }),
};

/** MachineInfo.fingerprint: 64 hex digits; undefined when the system has no id of its own. */
export async function machineFingerprint(reader: MachineIdReader = systemReader): Promise<string | undefined> {
  const id = await machineId(reader);
  return id === undefined ? undefined : createHash('sha256').update(PREFIX).update(id).digest('hex');
}

async function machineId(reader: MachineIdReader): Promise<string | undefined> {
  switch (reader.platform) {
    case 'win32': {
      const key = 'HKLM\\SOFTWARE\\Microsoft\\Cryptography';
      // By its full path: a program of this name elsewhere in the search path has no say. /reg:64 for 32-bit processes.
      const output = await reader.run('C:\\Windows\\System32\\reg.exe', ['query', key, '/v', 'MachineGuid', '/reg:64']);
      return normalised(/MachineGuid\s+REG_SZ\s+(\S+)/.exec(output ?? '')?.[1]);
    }
    case 'darwin': {
      const output = await reader.run('/usr/sbin/ioreg', ['-rd1', '-c', 'IOPlatformExpertDevice']);
      return normalised(/"IOPlatformUUID"\s*=\s*"([^"]+)"/.exec(output ?? '')?.[1]);
    }
    default:
      // The second is what systems without systemd have.
      return (
        normalised(await reader.readFile('/etc/machine-id')) ??
        normalised(await reader.readFile('/var/lib/dbus/machine-id'))
      );
  }
}

/** 32 hex digits, lower case. Images made for cloning have an empty file or "uninitialized", which is no id. */
function normalised(text: string | undefined): string | undefined {
  const id = text?.trim().toLowerCase().replaceAll('-', '') ?? '';
  return /^[0-9a-f]{32}$/.test(id) && !/^0+$/.test(id) ? id : undefined;
}
