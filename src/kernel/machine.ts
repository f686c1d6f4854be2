// State machines as tables: a union of state names, the legal edges in one place, one door for every change.
import { Fault } from './fault.js';

/** For each state, the states that may follow it. */
export type Edges<State extends string> = { readonly [S in State]: readonly State[] };

export class IllegalTransition extends Fault<'kernel.illegal-transition'> {
  constructor(machine: string, from: string, to: string) {
    super('kernel.illegal-transition', `${machine}: ${from} may not become ${to}`, { permanent: true });
  }
}

/** Throws IllegalTransition when the table has no such edge. For those of whom there are too many for an object each. */
export function checkEdge<State extends string>(name: string, edges: Edges<State>, from: State, to: State): void {
  if (!edges[from].includes(to)) throw new IllegalTransition(name, from, to);
}

export class StateMachine<State extends string> {
  /** Made for the first of them: there are many machines, and few have any. */
  #listeners: Set<(to: State, from: State) => void> | undefined;
  #state: State;

  constructor(
    private readonly name: string,
    private readonly edges: Edges<State>,
    initial: State,
  ) {
    this.#state = initial;
  }

  get state(): State {
    return this.#state;
  }

  is(...states: readonly State[]): boolean {
    return states.includes(this.#state);
  }

  /** Throws IllegalTransition when the table has no such edge. */
  to(next: State): void {
    const from = this.#state;
    checkEdge(this.name, this.edges, from, next);
    this.#state = next;
    for (const listener of [...(this.#listeners ?? [])]) listener(next, from);
  }

  /** Calls `listener` after every change, until the returned function is called. */
  onChange(listener: (to: State, from: State) => void): () => void {
    const listeners = this.#listeners ?? new Set();
    this.#listeners = listeners.add(listener);
    return () => listeners.delete(listener);
  }
}
