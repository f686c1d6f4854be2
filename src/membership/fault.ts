// What can go wrong with a machine's membership: on its disk, and when it enrols or renews.
import { Fault } from '../kernel/fault.js';

export type MembershipCode =
  /** The data directory holds no membership. */
  | 'membership.missing'
  /** It holds one already. */
  | 'membership.exists'
  /** Its files do not fit together. */
  | 'membership.damaged'
  /** It was made on another machine: a copied disk or a cloned VM. */
  | 'membership.other-machine'
  /** The cloud said no, for good. */
  | 'membership.refused'
  /** Nobody could be reached who would answer. */
  | 'membership.unreachable';

export class MembershipFault extends Fault<MembershipCode> {}
