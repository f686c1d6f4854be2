// The two doors through which sessions come: LinkService (a hub on its own connection) and TrunkService (many hubs
// behind a connector). Both are byte streams, because what is verified is what travelled.

import { CloseCode } from '../../../gen/occmesh/trunk/v1/trunk.js';
import type { ByteStream } from '../../contract/byte-stream.js';
import type { Principal } from '../../contract/callers.js';
import { ContractFault } from '../../contract/fault.js';
import type { CallContext } from '../../contract/handlers.js';
import { MeshCertificate } from '../../identity/certificates.js';
import { CloudSession } from '../../link/cloud-session.js';
import { endingOf } from '../../link/fault.js';
import { type Ending, ending } from '../../link/pipe.js';
import { endingOfFault, faultOfEnding, StreamPipe } from '../../link/stream-pipe.js';
import { HubHost } from './hub-host.js';
import type { SessionServices } from './services.js';
import { TrunkHost } from './trunk-host.js';

/** Who has come, when it may come once more. Faults: contract.exhausted. */
function machineOf(services: SessionServices, principal: Principal, expense: 'links' | 'trunks'): MeshCertificate {
  // The access rules let nobody else in; this is for the types.
  if (principal.kind !== 'machine') throw new ContractFault('contract.denied', 'only machines hold sessions');
  try {
    services.budgets.of(principal.machineId).spend(expense);
  } catch (thrown) {
    throw faultOfEnding(endingOf(thrown));
  }
  return MeshCertificate.parse(principal.certificate);
}

/** LinkService.Link: a hub that comes directly. */
export async function serveLink(services: SessionServices, stream: ByteStream, context: CallContext): Promise<void> {
  const peer = machineOf(services, context.principal, 'links');
  const host = new HubHost(services, { connector: undefined, peer });
  const { clock, random } = services;
  new CloudSession({ pipe: new StreamPipe(stream), host, clock, random });
  await stream.closed;
}

/** TrunkService.Trunk: a connector. */
export async function serveTrunk(services: SessionServices, stream: ByteStream, context: CallContext): Promise<void> {
  const trunk = new TrunkHost(services, machineOf(services, context.principal, 'trunks'), {
    write: (message) => void stream.write(message),
    get bufferedBytes() {
      return stream.bufferedBytes;
    },
    drained: () => stream.drained(),
    end: (why: Ending) => {
      if (why.code === CloseCode.DONE) stream.end();
      else stream.close(faultOfEnding(why));
    },
  });
  try {
    await stream.forEach((message) => {
      trunk.received(message);
    });
    trunk.end(ending(CloseCode.DONE, 'the connector has ended its trunk'));
  } catch (thrown) {
    trunk.end(endingOfFault(thrown instanceof ContractFault ? thrown : undefined));
  }
}
