// Pages of lists. A page token is where the last page ended, not how far it was: what is added or removed in between
// neither repeats nor hides anything else. It is opaque to callers and good for nothing but going on in the same list.
import { createHash } from 'node:crypto';
import { invalid } from '../../contract/status.js';

const DEFAULT_SIZE = 200;
const MAX_SIZE = 1_000;
/**
 * A page ends early when its items take so much: a message has at most 2 MiB, and one customer's large settings must not
 * hide everybody's.
 */
export const MAX_PAGE_BYTES: number = 1024 * 1024;

export interface PageRequest {
  readonly pageSize: number;
  readonly pageToken: string;
}

export interface Page<T> {
  readonly items: T[];
  readonly nextPageToken: string;
}

/**
 * The page of `items`, in the order of their keys (by code unit), which must be unique. `items` are records, about as
 * large as what is sent of them.
 */
export function page<T>(items: Iterable<T>, keyOf: (item: T) => string, request: PageRequest): Page<T> {
  const size = sizeOf(request, { usual: DEFAULT_SIZE, most: MAX_SIZE });
  const after = placeOf(request);
  const rest: { key: string; item: T }[] = [];
  for (const item of items) {
    const key = keyOf(item);
    if (after === undefined || key > after) rest.push({ key, item });
  }
  rest.sort((a, b) => (a.key < b.key ? -1 : 1));
  const taken = fitting(rest.slice(0, size));
  const last = taken.at(-1);
  const more = rest.length > taken.length && last !== undefined;
  return { items: taken.map(({ item }) => item), nextPageToken: more ? nextPage(last.key, request) : '' };
}

/** A key for ids whose newest shall come first: they begin with their time. */
export const newestFirst = (id: string): string =>
  id.replace(/[0-9a-f]/g, (digit) => (15 - Number.parseInt(digit, 16)).toString(16));

/** As many as fit, at least one. */
function fitting<T>(wanted: { key: string; item: T }[]): { key: string; item: T }[] {
  let bytes = 0;
  const end = wanted.findIndex(({ item }, i) => {
    bytes += Buffer.byteLength(JSON.stringify(item));
    return i > 0 && bytes > MAX_PAGE_BYTES;
  });
  return end < 0 ? wanted : wanted.slice(0, end);
}

/** How many items a page may have. */
export function sizeOf({ pageSize }: PageRequest, { usual, most }: { usual: number; most: number }): number {
  if (pageSize > most) throw invalid('page_size', `must be 1 to ${most}, is ${pageSize}`);
  return pageSize === 0 ? usual : pageSize;
}

/** The token of the page behind `key`, for whoever repeats this request with it. */
export const nextPage = (key: string, request: PageRequest): string => tokenOf(`${filterOf(request)}/${key}`);

/** Where the page before ended; undefined for the first one. Faults: api.invalid. */
export function placeOf(request: PageRequest): string | undefined {
  const place = keyOfToken(request.pageToken);
  if (place === undefined) return undefined;
  const [filter = ''] = place.split('/', 1);
  if (filter !== filterOf(request)) throw invalid('page_token', 'belongs to a list with another filter');
  return place.slice(filter.length + 1);
}

/** Everything in a request that decides what is in its list. */
function filterOf(request: PageRequest & { readonly readMask?: unknown }): string {
  const { pageSize: _, pageToken: __, readMask: ___, ...filter } = request;
  return createHash('sha256').update(JSON.stringify(filter)).digest('base64url').slice(0, 8);
}

/** For whoever goes on behind `key`. The first character is the version of the form. */
export const tokenOf = (key: string): string => `1${Buffer.from(key).toString('base64url')}`;

/** Undefined for the first page. Faults: api.invalid. */
export function keyOfToken(token: string, field = 'page_token'): string | undefined {
  if (token === '') return undefined;
  const key = Buffer.from(token.slice(1), 'base64url').toString();
  if (tokenOf(key) !== token) throw invalid(field, 'is not one that this service has given out');
  return key;
}
