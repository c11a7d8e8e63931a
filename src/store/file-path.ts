// Keys as paths of a file store. A file name has at most 255 bytes (NAME_MAX), a component of a key up to 1,024: a long
// one becomes directories, `beginning+/+middle+/+end`. No key has a `+`.

import { join } from 'node:path'
import { CoreliftError } from '../errors.ts'
import { printable } from '../printable.ts'

/** Directory of files that are no objects yet. No crash, index or build id begins with a dot. */
export const INCOMING = '.incoming'

/**
 * Ends the name of a directory that holds continuations of a component, and begins these: a rest of `..` would lead
 * out of it.
 */
export const CONTINUED = '+'

/** NAME_MAX less the mark at the end. */
const PIECE_BYTES = 254

/** What keys.ts makes of components. */
const COMPONENT = /^[A-Za-z0-9._~=-]+$/

/**
 * @returns Path of the object's file.
 * @throws CoreliftError `E_STORE_DENIED` for a key that is not made of the key grammar's components, which might leave
 * the directory.
 */
export function pathOfKey(directory: string, key: string): string {
  return pathOfComponents(directory, key, key.split('/'))
}

/**
 * @param prefix - Any beginning of a key.
 * @returns Path of the directory that holds all its keys, and the part of `prefix` that names it (with its `/`).
 */
export function directoryOfPrefix(directory: string, prefix: string): { path: string; named: string } {
  const named = prefix.slice(0, prefix.lastIndexOf('/') + 1)
  const components = named.split('/').slice(0, -1)
  return { path: pathOfComponents(directory, prefix, components), named }
}

function pathOfComponents(directory: string, key: string, components: readonly string[]): string {
  const odd = components.some(name => !COMPONENT.test(name) || name === '.' || name === '..')
  if (odd || components.includes(INCOMING)) {
    throw new CoreliftError('E_STORE_DENIED', `not a key of this store: ${printable(key)}`)
  }
  return join(directory, ...components.flatMap(pieces))
}

function pieces(component: string): string[] {
  const names: string[] = []
  for (let rest = component; ; rest = CONTINUED + rest.slice(PIECE_BYTES)) {
    if (rest.length <= PIECE_BYTES) return [...names, rest]
    names.push(rest.slice(0, PIECE_BYTES) + CONTINUED)
  }
}
