// Long work in the foreground of a process is done in pieces, and between them everybody else has a turn.

/** Resolves after whatever waits in the event loop has run. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
