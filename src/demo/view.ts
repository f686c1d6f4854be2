// What the demo shows: on a terminal one screen that is drawn again every second, elsewhere a line per event.
import { valuesText } from '../cli/output/reading.js';
import { type Machine, MachineState, Path, type Reading, Role, State } from '../client/index.js';

export interface Scene {
  readonly title: string;
  readonly machines: readonly Machine[];
  readonly readings: readonly Reading[];
  readonly sensors: ReadonlyMap<string, string>;
  readonly stored: number;
}

const STATE_COLOURS: { readonly [state: number]: string } = {
  [State.OK]: '32',
  [State.WARNING]: '33',
  [State.CRITICAL]: '31',
  [State.UNKNOWN]: '35',
};

/** Title, hint, empty lines between the parts, and the last row, which stays free. */
const FIXED_LINES = 6;

/** How a machine is connected, in words. */
export function pathOf(machine: Machine, machines: readonly Machine[]): string {
  switch (machine.state) {
    case MachineState.ONLINE:
      if (machine.path === Path.DIRECT) return 'direct to the cloud';
      if (machine.path !== Path.CONNECTOR) return 'online';
      return `via ${machines.find(({ id }) => id === machine.connectorId)?.name ?? 'a connector'}`;
    case MachineState.NEVER_SEEN:
      return 'never seen';
    default:
      return MachineState[machine.state].toLowerCase().replaceAll('_', ' ');
  }
}

export class View {
  readonly #events: string[] = [];

  constructor(
    private readonly out: NodeJS.WriteStream,
    private readonly now: () => number,
  ) {}

  /** Something that the story tells. */
  tell(text: string): void {
    const line = `${new Date(this.now()).toISOString().slice(11, 19)}  ${text}`;
    this.#events.push(line);
    if (!this.out.isTTY) this.out.write(`${line}\n`);
  }

  draw(scene: Scene): void {
    if (!this.out.isTTY) return;
    const events = this.#events.slice(-8);
    const { machines } = scene;
    // On a small screen the story counts more than every sensor.
    const room = this.out.rows - FIXED_LINES - machines.length - events.length;
    const hubs = machines.filter(({ role }) => role === Role.HUB).length;
    const sensors = Math.max(0, Math.floor(room / Math.max(1, hubs)));
    const lines = [`\x1b[1mocc-mesh demo\x1b[0m · ${scene.title} · ${scene.stored} readings in the cloud`, ''];
    for (const machine of machines) {
      const queued = machine.queuedReadings > 0 ? ` · ${machine.queuedReadings} waiting` : '';
      const name = `${machine.role === Role.CONNECTOR ? 'connector' : 'hub'} ${machine.name}`;
      lines.push(`\x1b[1m${name.padEnd(22)}\x1b[0m ${pathOf(machine, machines)}${queued}`);
      const own = scene.readings.filter(({ machineId }) => machineId === machine.id);
      for (const reading of own.slice(0, sensors)) lines.push(`  ${this.#reading(reading, scene)}`);
    }
    lines.push('', ...events, '', 'Ctrl-C ends it and leaves nothing running.');
    const width = this.out.columns;
    // From the top, each line to its end, then the rest of the screen: no flicker.
    this.out.write(
      `\x1b[H${lines
        .slice(0, this.out.rows - 1)
        .map((line) => `${clip(line, width)}\x1b[K`)
        .join('\n')}\n\x1b[J`,
    );
  }

  #reading(reading: Reading, scene: Scene): string {
    const name = scene.sensors.get(`${reading.machineId}/${reading.sensor}`) ?? `sensor ${reading.sensor}`;
    const age = `${Math.max(0, Math.round((this.now() - reading.takenAtMs) / 1_000))} s ago`;
    const state = `\x1b[${STATE_COLOURS[reading.state] ?? '0'}m${State[reading.state].padEnd(8)}\x1b[0m`;
    return `${name.padEnd(12)} ${state} ${age.padStart(9)}  ${valuesText(reading.values)}`;
  }
}

/** Cuts to a number of visible characters; colour codes count nothing. */
function clip(line: string, width: number): string {
  let visible = 0;
  let at = 0;
  while (at < line.length && visible < width) {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: an escape sequence is what is looked for
    const code = /^\x1b\[[0-9;]*m/.exec(line.slice(at))?.[0];
    if (code) at += code.length;
    else {
      at += 1;
      visible += 1;
    }
  }
  return `${line.slice(0, at)}\x1b[0m`;
}
