// Kind `log`: counts the new lines of a log file that match patterns. Numbers leave the machine, and of one line that
// matched its beginning.
import { lstat, readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { State } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { type Duration, milliseconds, seconds } from '../../kernel/duration.js';
import { log as description, type LogSettings } from '../catalogue/log.js';
import { SensorFault } from '../fault.js';
import type { Measurement, Sensor, SensorKind, SensorModules } from '../kind.js';
import { CHUNK } from '../log-file.js';
import { LogFollower, type LogPlace } from '../log-follower.js';
import { matchAll } from '../matcher.js';
import { openWatched } from '../watched-path.js';

/** Characters of the line that is shown. */
const MAX_SHOWN = 200;
/** Of one run, 16 MiB; the next one goes on there. */
const MAX_CHUNKS = 16_777_216 / CHUNK;
/** All patterns together; each look at some lines is bounded besides (matcher.ts). */
const MAX_MATCHING = seconds(3);
const MAX_COPIES = 16;

function placeOf(path: string, { directories }: SensorModules['watch']): LogPlace {
  return {
    open: () => openWatched(path, directories),
    async *copies() {
      const [directory, name] = [dirname(path), basename(path)];
      const beside = (await readdir(directory)).filter((other) => other.startsWith(name) && other !== name);
      const times = beside.map(async (other) => {
        const file = join(directory, other);
        return { file, at: (await lstat(file).catch(() => undefined))?.mtimeMs ?? 0 };
      });
      const newestFirst = (await Promise.all(times)).sort((a, b) => b.at - a.at).slice(0, MAX_COPIES);
      for (const { file } of newestFirst) {
        const handle = await openWatched(file, directories).catch(() => undefined);
        if (handle) yield handle;
      }
    },
  };
}

class LogSensor implements Sensor {
  readonly #follower: LogFollower;
  /** Since the last run that came to its end: what one counted that did not is not lost. */
  #lines = 0;
  #matches = new Map<string, number>();
  #shown = new Map<string, string>();

  constructor(
    private readonly settings: LogSettings,
    private readonly modules: SensorModules,
  ) {
    this.#follower = new LogFollower(placeOf(settings.path, modules.watch));
  }

  async measure(signal: AbortSignal): Promise<Measurement> {
    const there = await this.#follower.look();
    const unread = await this.#read(signal);
    const measurement = this.#report(unread);
    if (there) return measurement;
    return { ...measurement, state: State.UNKNOWN, message: 'the file is not there' };
  }

  close(): Promise<void> {
    return this.#follower.close();
  }

  /** The bytes that are left for the next run. */
  async #read(signal: AbortSignal): Promise<number> {
    let [chunks, time]: [number, Duration] = [0, MAX_MATCHING];
    for await (const lines of this.#follower.lines()) {
      time = milliseconds(time - this.#match(lines));
      if (time < 0) throw new SensorFault('sensor.pattern', 'the patterns take too long on this log');
      if (++chunks === MAX_CHUNKS) return await this.#follower.unread();
      // Whatever else the hub does has its turn.
      await new Promise((resolve) => setImmediate(resolve));
      signal.throwIfAborted();
    }
    return 0;
  }

  /** How long it took. */
  #match(lines: readonly string[]): Duration {
    const { clock } = this.modules;
    const { patterns, except } = this.settings;
    const started = clock.monotonic();
    this.#lines += lines.length;
    const excepted = except === undefined ? [] : matchAll(except, lines);
    const counted = lines.filter((_, at) => !excepted[at]);
    for (const [name, pattern] of Object.entries(patterns)) {
      const matching = matchAll(pattern, counted);
      const last = matching.lastIndexOf(true);
      if (last < 0) continue;
      this.#matches.set(name, (this.#matches.get(name) ?? 0) + matching.filter(Boolean).length);
      this.#shown.set(name, (counted[last] ?? '').slice(0, MAX_SHOWN));
    }
    return milliseconds(clock.monotonic() - started);
  }

  #report(unread: number): Measurement {
    const names = Object.keys(this.settings.patterns);
    const values = [
      { name: 'lines', unit: '', value: this.#lines },
      { name: 'unread', unit: 'By', value: unread },
      ...names.map((name) => ({ name: `${name}/matches`, unit: '', value: this.#matches.get(name) ?? 0 })),
    ];
    const first = names.find((name) => this.#shown.has(name));
    const message = first !== undefined && this.settings.show ? `${first}: ${this.#shown.get(first)}` : '';
    this.#lines = 0;
    this.#matches = new Map();
    this.#shown = new Map();
    return message === '' ? { values } : { values, message };
  }
}

export const log: SensorKind<LogSettings> = {
  ...description,
  create: (settings, modules) => new LogSensor(settings, modules),
};
