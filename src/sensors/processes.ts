// The processes of a Linux machine, read from /proc without starting another. proc_pid_stat(5), proc_pid_status(5)
import { readdirSync, readFileSync } from 'node:fs';

export interface ProcessInfo {
  readonly pid: number;
  /** Tells a process from a later one with the same pid: ticks between machine start and process start. */
  readonly startedAt: number;
  /** At most 15 characters, as the kernel keeps it. */
  readonly name: string;
  /** Arguments separated by spaces, at most 1,024 characters; empty for the kernel's own. */
  readonly command: string;
  /** Processor time used so far, milliseconds. */
  readonly cpuMs: number;
}

/** USER_HZ: 100 on every architecture that Node supports. */
const MS_PER_TICK = 10;
const MAX_COMMAND = 1_024;
const PER_TURN = 100;

/** The name stands in brackets and may itself contain brackets and spaces: it ends at the last one. */
export function parsePidStat(text: string): Omit<ProcessInfo, 'command'> | undefined {
  const [open, close] = [text.indexOf('('), text.lastIndexOf(')')];
  if (open < 0 || close < open) return undefined;
  const fields = text.slice(close + 2).split(' ');
  const [utime, stime, startedAt] = [Number(fields[11]), Number(fields[12]), Number(fields[19])];
  return {
    pid: Number.parseInt(text, 10),
    name: text.slice(open + 1, close),
    startedAt,
    cpuMs: (utime + stime) * MS_PER_TICK,
  };
}

function readProcess(pid: string): ProcessInfo | undefined {
  try {
    const stat = parsePidStat(readFileSync(`/proc/${pid}/stat`, 'utf8'));
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').slice(0, MAX_COMMAND).replaceAll('\0', ' ').trimEnd();
    return stat && { ...stat, command };
  } catch {
    // It has ended since the directory was listed.
    return undefined;
  }
}

/** All processes. Gives others a turn now and then: a large server has thousands. */
export async function listProcesses(signal: AbortSignal): Promise<ProcessInfo[]> {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const processes: ProcessInfo[] = [];
  for (let from = 0; from < pids.length; from += PER_TURN) {
    if (from > 0) await new Promise((resolve) => setImmediate(resolve));
    signal.throwIfAborted();
    for (const pid of pids.slice(from, from + PER_TURN)) {
      const info = readProcess(pid);
      if (info) processes.push(info);
    }
  }
  return processes;
}

/** Memory in use, bytes; 0 when the process has ended or is the kernel's own. */
export function residentMemory(pid: number): number {
  try {
    const match = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    return Number(match?.[1] ?? 0) * 1_024;
  } catch {
    return 0;
  }
}
