// Domain tags: the first bytes of everything that is signed, so that a signature made for one purpose never counts for
// another. Part of the contract (proto/occmesh/**); a tag is never reused for anything else.

export const TAGS = {
  /** telemetry.v1.Batch, by the hub. */
  BATCH: 'occ-mesh/batch/v1',
  /** telemetry.v1.Gap, by the hub or a cloud node. */
  GAP: 'occ-mesh/gap/v1',
  /** link.v1.DesiredState, by a cloud node. */
  DESIRED_STATE: 'occ-mesh/desired-state/v1',
  /** The statement that a sealing key belongs to an identity; by that identity. */
  SEALING_KEY: 'occ-mesh/sealing-key/v1',
  /** link.v1.Resealed, by the hub. */
  RESEALED: 'occ-mesh/resealed/v1',
  /** link.v1.Hello over its Challenge. */
  LINK_HELLO: 'occ-mesh/link/hello/v1',
  /** link.v1.Welcome over the whole transcript. */
  LINK_WELCOME: 'occ-mesh/link/welcome/v1',
  /** Not signed: goes into the keys for the frames of a session. */
  LINK_FRAME: 'occ-mesh/link/frame/v1',
  /** Not signed but hashed: the session id. */
  LINK_SESSION: 'occ-mesh/link/session/v1',
} as const;

export type DomainTag = (typeof TAGS)[keyof typeof TAGS];

const PREFIXES = new Map<DomainTag, Buffer>(
  Object.values(TAGS).map((tag) => [tag, Buffer.concat([Buffer.from(tag, 'ascii'), Buffer.of(0)])]),
);

/** The tag, a zero byte, then the parts as they are: what is signed or hashed. */
export function tagged(tag: DomainTag, ...parts: readonly Uint8Array[]): Buffer {
  return Buffer.concat([PREFIXES.get(tag) ?? Buffer.from(`${tag}\0`, 'ascii'), ...parts]);
}
