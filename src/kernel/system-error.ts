// Errors of the operating system and of Node, told apart by their code.

/** `ENOENT`, `ERR_TLS_CERT_ALTNAME_INVALID`, …; undefined for whatever has no code. */
export function systemCode(thrown: unknown): string | undefined {
  return thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : undefined;
}

/** For `.catch` of a read: nothing when there is no such file, any other error again. */
export function undefinedIfMissing(thrown: unknown): undefined {
  if (systemCode(thrown) !== 'ENOENT') throw thrown;
}
