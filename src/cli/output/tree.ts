// A tree with lines, for people.
import type { Paint } from './colour.js';

export interface Branch {
  /** Made safe and painted already; one line. */
  readonly text: string;
  readonly children: readonly Branch[];
}

/** Each root on a line of its own, its children below it. Ends with a line end. */
export function tree(roots: readonly Branch[], paint: Paint): string {
  return roots.map((root) => `${root.text}\n${below(root, '', paint)}`).join('');
}

function below({ children }: Branch, indent: string, paint: Paint): string {
  return children
    .map((child, i) => {
      const last = i === children.length - 1;
      const line = `${indent}${paint('quiet', last ? '└─ ' : '├─ ')}${child.text}\n`;
      return line + below(child, `${indent}${last ? '   ' : paint('quiet', '│  ')}`, paint);
    })
    .join('');
}

export const countLines = (roots: readonly Branch[]): number =>
  roots.reduce((sum, { children }) => sum + 1 + countLines(children), 0);
