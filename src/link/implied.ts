// What a session implies need not travel with each of its batches: who has signed it, and which log it is of (LinkUp.batch in
// link.proto). The hub's end leaves it out; the cloud's puts it back first of all, so that what is stored verifies on its own.
import type { Heartbeat } from '../../gen/occmesh/link/v1/link.js';
import type { Signed } from '../../gen/occmesh/telemetry/v1/telemetry.js';
import type { VerifyKey } from '../identity/keys.js';
import { keep } from '../kernel/bytes.js';
import { LinkFault } from './fault.js';

const ID_BYTES = 16;
/** The beginning of every serialised Batch: field 1 and its length; the id follows. */
const LOG_TAG = 0x0a;
const LOG_FIELD = Buffer.of(LOG_TAG, ID_BYTES).toString('latin1');

/** At either end. */
export class Implied {
  /** Field `log` of the session's log. As text: a cloud keeps one for every hub. */
  #logField = '';

  /** `signer` of the session's Hello. */
  constructor(private readonly signer: VerifyKey) {}

  /** To be told of every Heartbeat, in the order of sending. */
  heartbeat({ log }: Pick<Heartbeat, 'log'>): void {
    if (this.#logField !== '' || log.length !== ID_BYTES) return;
    this.#logField = LOG_FIELD + Buffer.from(log).toString('latin1');
  }

  leaveOut({ content, signature }: Signed): Signed {
    const { length } = this.#logField;
    const isOfLog = length > 0 && Buffer.from(this.#logField, 'latin1').equals(content.subarray(0, length));
    return { content: isOfLog ? content.subarray(length) : content, signature, keyId: NOTHING };
  }

  /** Faults: link.protocol. Whether it is the signer's is for others to verify. */
  putBack({ content, signature, keyId }: Signed): Signed {
    if (keyId.length > 0) throw new LinkFault('link.protocol', 'a batch that names its key, which the session implies');
    // A batch may wait for long: neither its content nor its key's id is to be of memory that Buffers share.
    return { content: this.#whole(content), signature, keyId: keep(this.signer.keyId) };
  }

  #whole(content: Uint8Array): Uint8Array {
    if (content[0] === LOG_TAG) return content;
    if (this.#logField === '') throw new LinkFault('link.protocol', 'a batch without a log, before any log was named');
    const whole = Buffer.allocUnsafeSlow(this.#logField.length + content.length);
    whole.set(content, whole.write(this.#logField, 'latin1'));
    return whole;
  }
}

const NOTHING = new Uint8Array(0);
