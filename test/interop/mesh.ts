// A mesh of real processes for the tests beside this file, in a folder that goes with it.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LocalMesh, type MeshOptions } from '../../src/demo/mesh.js';
import { systemClock } from '../../src/kernel/clock.js';
import { seconds } from '../../src/kernel/duration.js';

export interface InteropMesh extends AsyncDisposable {
  readonly mesh: LocalMesh;
  /** `host:port` of the cloud. */
  readonly cloud: string;
  /** PEM file of the mesh CA. */
  readonly caFile: string;
  /** File with an operator's API token. */
  readonly tokenFile: string;
  /** For whatever a test has to write. */
  readonly directory: string;
}

/** A cloud on a free port of 127.0.0.1, and no machines yet. SSDP is on loopback, on the port that strangers know. */
export async function startMesh(more: Partial<MeshOptions> = {}): Promise<InteropMesh> {
  const directory = await mkdtemp(join(tmpdir(), 'interop-'));
  const mesh = await LocalMesh.start(
    {
      directory,
      hubs: 0,
      interface: 'lo',
      ssdpPort: 1900,
      fallbackAfter: seconds(60),
      heartbeat: seconds(1),
      ...more,
    },
    systemClock,
  );
  return {
    mesh,
    cloud: `127.0.0.1:${mesh.cloudPort}`,
    caFile: join(directory, 'cloud', 'ca', 'ca.crt'),
    tokenFile: join(directory, 'cloud', 'operator.token'),
    directory,
    [Symbol.asyncDispose]: async () => {
      await mesh.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
