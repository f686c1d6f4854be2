// A plugin directory on the real disk, for tests of sensors that start programs.
import { chmod, mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { SensorFault } from '../../../../src/sensors/fault.js';
import type { ExecPolicy, Measurement, Secrets } from '../../../../src/sensors/kind.js';
import { exec } from '../../../../src/sensors/kinds/exec.js';
import { sensorOf } from '../support.js';

/** The unprivileged user that plugins run as when the tests run as root. */
export const NOBODY = 65_534;

/** A plugin directory as a package would leave it, and a place outside. */
export class Plugins implements AsyncDisposable {
  private constructor(
    readonly root: string,
    readonly directory: string,
  ) {}

  static async make(): Promise<Plugins> {
    const root = await realpath(await mkdtemp(join(tmpdir(), 'plugins-')));
    await chmod(root, 0o755);
    await mkdir(join(root, 'allowed'), { mode: 0o755 });
    return new Plugins(root, join(root, 'allowed'));
  }

  /** Writes a shell script; relative to the allowed directory. */
  async script(name: string, body: string): Promise<string> {
    const file = join(this.directory, name);
    await writeFile(file, `#!/bin/sh\n${body}\n`);
    await chmod(file, 0o755);
    return file;
  }

  run(
    settings: object,
    signal = new AbortController().signal,
    policy: Partial<ExecPolicy> = {},
    secrets?: Secrets,
  ): Promise<Measurement> {
    const allowed = { directories: [this.directory], runAs: { uid: NOBODY, gid: NOBODY }, ...policy };
    return sensorOf(exec, settings, { exec: allowed }).measure(signal, secrets);
  }

  /** Why it is not run. */
  async refusal(settings: object, policy: Partial<ExecPolicy> = {}): Promise<string> {
    const fault = await this.run(settings, undefined, policy).catch((thrown) => thrown);
    expect(fault).to.be.instanceOf(SensorFault).with.property('code', 'sensor.refused');
    return fault.message;
  }

  async [Symbol.asyncDispose]() {
    await rm(this.root, { recursive: true, force: true });
  }
}
