// The library `pg`, mended where an answer that no server gives would harm the hub: it looks for the end of an error
// message beyond the end of the answer, for ever, and throws where nobody catches at others that it cannot read.
type Pg = typeof import('pg');

let loaded: Promise<Pg> | undefined;

export function pgLibrary(): Promise<Pg> {
  loaded ??= load();
  return loaded;
}

async function load(): Promise<Pg> {
  const { BufferReader } = await import('pg-protocol/dist/buffer-reader.js');
  const { Parser } = await import('pg-protocol/dist/parser.js');
  const { string: readString } = BufferReader.prototype;
  BufferReader.prototype.string = function (this: { offset: number; buffer: Buffer }, length: number) {
    if (this.offset + length > this.buffer.length) throw new Error('the answer ends too early');
    return readString.call(this as never, length);
  };
  const { parse } = Parser.prototype;
  Parser.prototype.parse = function (this: InstanceType<typeof Parser>, buffer, callback) {
    try {
      parse.call(this, buffer, callback);
    } catch {
      callback({ name: 'error', length: 0, message: 'the answer of the server cannot be read' } as never);
    }
  };
  return await import('pg');
}
