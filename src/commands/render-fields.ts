// What is known about one thing, as labels and values in sections.

import { printable } from '../printable.ts'
import type { Colors } from './terminal.ts'

/** A value that is not known is left out, with its label. */
export type Field = readonly [label: string, value: string | number | undefined | null]

/** @returns The sections, labels aligned, with empty lines between. */
export function renderSections(sections: readonly (readonly Field[])[], colors: Colors): string {
  const isKnown = ([, value]: Field) => value !== undefined && value !== null && value !== ''
  const known = sections.map(fields => fields.filter(isKnown)).filter(fields => fields.length > 0)
  const width = Math.max(0, ...known.flat().map(([label]) => label.length))
  // Everything goes through here, so nothing reaches the terminal as a workload spelled it.
  const line = ([label, value]: Field) =>
    `${colors.dim(label.padStart(width))}  ${printable(String(value), Infinity)}\n`
  return known.map(fields => fields.map(line).join('')).join('\n')
}
