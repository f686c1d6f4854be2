// Which file systems a Linux machine has mounted, and which of them are worth watching.

export interface Mount {
  readonly device: string;
  readonly point: string;
  readonly type: string;
}

/**
 * Without space of their own, always full by design, or on the network, where the server watches itself and a dead
 * server would make every look at it hang.
 */
const NOT_WATCHED =
  /^(?:autofs|tmpfs|devtmpfs|ramfs|squashfs|erofs|iso9660|udf|cramfs|nfs\d?|cifs|smb\d?|smbfs|9p|ceph|glusterfs|lustre|afs|fuse\..*)$/;
const NOT_BACKED_BY_A_DEVICE = /^(?:zfs|bcachefs)$/;

/** Fields of /proc/self/mounts write space, tab, newline and backslash in octal (getmntent(3)). */
const unescapeField = (field: string) =>
  Buffer.from(
    field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))),
    'latin1',
  ).toString('utf8');

/** From /proc/self/mounts, read as latin1. Where one mount covers another, the later one counts. */
export function parseMounts(text: string): Mount[] {
  const mounts = new Map<string, Mount>();
  for (const line of text.split('\n')) {
    const [device, point, type] = line.split(' ').map(unescapeField);
    if (device !== undefined && point !== undefined && type !== undefined) mounts.set(point, { device, point, type });
  }
  return [...mounts.values()];
}

/** Local file systems with space of their own, each once however often it is mounted, and `/` in any case. */
export function watchedMounts(mounts: readonly Mount[]): string[] {
  const byDevice = new Map<string, string>();
  for (const { device, point, type } of mounts) {
    const local = (device.startsWith('/') || NOT_BACKED_BY_A_DEVICE.test(type)) && !NOT_WATCHED.test(type);
    if (!local && point !== '/') continue;
    const known = byDevice.get(device);
    if (known === undefined || point.length < known.length) byDevice.set(device, point);
  }
  return [...byDevice.values()].sort();
}
