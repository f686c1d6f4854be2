// operations.v1.OperationsService: running the cloud itself.

import { join } from 'node:path';
import type {
  CreateBackupRequest,
  CreateBackupResponse,
  GetCloudResponse,
} from '../../../gen/occmesh/operations/v1/operations.js';
import { ApiFault } from '../../contract/fault.js';
import type { Clock } from '../../kernel/clock.js';
import { fileTime } from '../../kernel/duration.js';
import type { Logger } from '../../kernel/log.js';
import { makePrivateDirectory } from '../../kernel/private-directory.js';
import type { CopyProgress } from '../../storage/copy.js';
import type { Store } from '../../storage/store.js';
import { createBackup } from '../backup/create.js';

export interface OperationsServiceModules {
  /** The cloud's data directory. */
  readonly directory: string;
  readonly store: Store;
  readonly software: string;
  readonly clock: Clock;
  readonly log: Logger;
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

export class OperationsService {
  #running = false;

  constructor(private readonly modules: OperationsServiceModules) {}

  readonly getCloud = async (): Promise<GetCloudResponse> => {
    const { software, clock } = this.modules;
    return { software, clockMs: clock.now() };
  };

  readonly createBackup = async function* (
    this: OperationsService,
    request: CreateBackupRequest,
    call: { readonly signal: AbortSignal },
  ): AsyncGenerator<CreateBackupResponse> {
    const { directory, store, clock, log } = this.modules;
    const name = request.name || fileTime(clock.now());
    // A name, never a path: an operator's token must not write anywhere else.
    if (!NAME.test(name))
      throw new ApiFault('api.invalid', 'letters, digits, dot, hyphen, underscore', { field: 'name' });
    if (this.#running) throw new ApiFault('api.precondition', 'another backup is being made');
    this.#running = true;
    try {
      const backups = join(directory, 'backups');
      await makePrivateDirectory(backups);
      const target = join(backups, name);
      let latest: CopyProgress = { entries: 0, bytes: 0 };
      let wake: () => void = () => undefined;
      let done = false;
      const copying = createBackup({ directory, target, signal: call.signal }, { store, clock, log }, (progress) => {
        latest = progress;
        wake();
      })
        .catch((thrown: NodeJS.ErrnoException) => {
          if (thrown.code !== 'EEXIST') throw thrown;
          throw new ApiFault('api.already-exists', `there is a backup named ${name}`, { field: 'name' });
        })
        .finally(() => {
          done = true;
          wake();
        });
      copying.catch(() => undefined);
      while (!done) {
        await new Promise<void>((resolve) => {
          wake = resolve;
          if (done) resolve();
        });
        if (!done) yield { ...latest, path: '' };
      }
      await copying;
      log.info({ path: target, ...latest }, 'backup made');
      yield { ...latest, path: target };
    } finally {
      this.#running = false;
    }
  }.bind(this);
}
