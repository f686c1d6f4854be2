// How dear it is to open a private key of OpenSSH. Whoever made it has decided, and nothing else runs meanwhile.
// https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.key

/** What ssh-keygen(1) takes by itself is less; each takes some 20 ms. */
const MOST_ROUNDS = 32;
const MAGIC = 'openssh-key-v1\0';

/** Whether its passphrase is stretched by more rounds than a hub has time for. */
export function isDear(key: string): boolean {
  const [, base64] = /-----BEGIN OPENSSH PRIVATE KEY-----([\s\S]+)-----END/.exec(key) ?? [];
  const bytes = Buffer.from(base64 ?? '', 'base64');
  if (bytes.toString('latin1', 0, MAGIC.length) !== MAGIC) return false;
  let at = MAGIC.length;
  const next = () => {
    const length = at + 4 <= bytes.length ? bytes.readUInt32BE(at) : 0;
    const content = bytes.subarray(at + 4, at + 4 + length);
    at += 4 + length;
    return content;
  };
  next();
  const [kdf, options] = [next().toString('latin1'), next()];
  if (kdf !== 'bcrypt' || options.length < 4) return false;
  const rounds = 4 + options.readUInt32BE(0);
  return rounds + 4 <= options.length && options.readUInt32BE(rounds) > MOST_ROUNDS;
}
