// Services at the edge: how a definition says what its methods take, and definitions whose methods take bytes.
/** Bytes pass as they are; both directions without a copy. */
const toBytes = (value: Uint8Array): Buffer =>
  Buffer.isBuffer(value) ? value : Buffer.from(value.buffer, value.byteOffset, value.byteLength);
const fromBytes = (value: Buffer): Buffer => value;

/**
 * The same method, its messages as they travel. For carriers, which must pass on what they got byte for byte (a
 * re-encoding drops unknown fields and breaks signatures), and for those who verify bytes before they read them.
 */
export type RawMethod<M> = Omit<
  M,
  'requestSerialize' | 'requestDeserialize' | 'responseSerialize' | 'responseDeserialize'
> & {
  readonly requestSerialize: (value: Uint8Array) => Buffer;
  readonly requestDeserialize: (value: Buffer) => Buffer;
  readonly responseSerialize: (value: Uint8Array) => Buffer;
  readonly responseDeserialize: (value: Buffer) => Buffer;
};

/** Any method definition that ts-proto generates; `never` because nothing is written through this type. */
export interface AnyMethod {
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  readonly requestSerialize: (value: never) => Buffer;
  readonly requestDeserialize: (value: Buffer) => unknown;
  readonly responseSerialize: (value: never) => Buffer;
  readonly responseDeserialize: (value: Buffer) => unknown;
}
export type AnyService = { readonly [method: string]: AnyMethod };
/** What the caller sends. */
export type RequestOf<M extends AnyMethod> = ReturnType<M['requestDeserialize']>;
/** What the callee writes. */
export type ResponseOf<M extends AnyMethod> = Parameters<M['responseSerialize']>[0];

export function rawMethod<M extends AnyMethod>(method: M): RawMethod<M> {
  return {
    ...method,
    requestSerialize: toBytes,
    requestDeserialize: fromBytes,
    responseSerialize: toBytes,
    responseDeserialize: fromBytes,
  };
}

/** The same method for those who answer with bytes that are encoded already. */
export function encodedAnswers<M extends AnyMethod>(
  method: M,
): Omit<M, 'responseSerialize'> & Pick<RawMethod<M>, 'responseSerialize'> {
  return { ...method, responseSerialize: toBytes };
}
