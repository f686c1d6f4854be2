// Opens the stream of a session (or of a trunk) to a connector or a cloud, with mutual TLS by mesh identity. One
// connection per try: whoever searches decides when the next one is due.
import type { ByteStream } from '../contract/byte-stream.js';
import { GrpcChannel } from '../contract/channel.js';
import type { AnyMethod } from '../contract/service.js';
import type { MeshCertificate, TrustBundle } from '../identity/certificates.js';
import type { SigningKey } from '../identity/keys.js';
import { clientIdentity, judgeServer, type PeerExpectation } from '../identity/tls.js';
import type { Clock } from '../kernel/clock.js';
import { defined } from '../kernel/defined.js';
import { seconds } from '../kernel/duration.js';
import type { Logger } from '../kernel/log.js';

/** Who dials. */
export interface Credentials {
  readonly certificate: MeshCertificate;
  readonly key: SigningKey;
  readonly trust: TrustBundle;
}

/** How long a connection may take before the next path is tried. */
const CONNECT_WITHIN = seconds(10);

/** The stream; its channel is closed when the stream is over. */
export function openStream(
  method: AnyMethod,
  options: {
    readonly address: string;
    readonly credentials: Credentials;
    readonly expected: PeerExpectation;
    readonly proxy?: string;
    /** Told who answers, once that has been verified. */
    readonly onPeer?: (peer: MeshCertificate) => void;
  },
  modules: { clock: Clock; log: Logger },
): ByteStream {
  const { certificate, key, trust } = options.credentials;
  const channel = new GrpcChannel(
    {
      address: options.address,
      tls: {
        ...clientIdentity(certificate, key, trust),
        judgeServer: judgeServer(trust, options.expected, () => modules.clock.now(), options.onPeer),
      },
      connectWithin: CONNECT_WITHIN,
      ...defined({ proxy: options.proxy }),
    },
    modules,
  );
  const stream = channel.byteStream(method);
  void stream.closed.then(() => channel.stop());
  return stream;
}
