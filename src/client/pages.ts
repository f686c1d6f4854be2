// Lists come in pages; most callers want all of them.

/** What every list method has in common. */
type ListCall<Q, R> = (request?: Q) => Promise<R>;

const PAGE_SIZE = 1_000;

/** All items of a list, page after page: `for await (const m of every(client.machines.listMachines, 'machines', {}))`. */
export async function* every<
  K extends string,
  T,
  Q extends { readonly pageSize?: number | undefined; readonly pageToken?: string | undefined },
  R extends { readonly nextPageToken: string } & { readonly [P in K]: readonly T[] },
>(list: ListCall<Q, R>, items: K, request: Q): AsyncGenerator<R[K][number], void, void> {
  let pageToken = '';
  do {
    const answer = await list({ pageSize: PAGE_SIZE, ...request, pageToken });
    yield* answer[items];
    pageToken = answer.nextPageToken;
  } while (pageToken !== '');
}
