// Optional fields of options: with exactOptionalPropertyTypes an absent field and one that is undefined are different
// things, and what is passed on must be absent.

/** The fields that have a value, to be spread: `{ address, ...defined({ proxy }) }`. */
export function defined<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const given = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given) as { [K in keyof T]?: Exclude<T[K], undefined> };
}
