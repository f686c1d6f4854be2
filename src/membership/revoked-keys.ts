// The keys whose holders are not let in any more, as the cloud named them in its last Welcome. In memory only: a member
// that has just started learns them before it is asked about anybody.

export class RevokedKeys {
  #hex = new Set<string>();

  /** The whole list, not what has come since. */
  replace(keyIds: readonly Uint8Array[]): void {
    this.#hex = new Set(keyIds.map((keyId) => Buffer.from(keyId).toString('hex')));
  }

  readonly has = (keyId: Buffer): boolean => this.#hex.has(keyId.toString('hex'));
}
