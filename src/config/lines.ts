// Finds the line of a key in a TOML text that was parsed before: smol-toml does not keep positions.

/**
 * @param text - Valid TOML.
 * @returns A function from a path of keys, and of indices from 0 in arrays of tables, to a line from 1: that of the
 *   longest beginning of the path that is found, as where a key stands inside an inline table; 1 where none is.
 */
export function lineFinder(text: string): (...path: readonly (string | number)[]) => number {
  const lines = new Map<string, number>()
  const arrayLengths = new Map<string, number>()
  let table: string[] = []
  withoutMultilineTexts(text)
    .split('\n')
    .forEach((line, index) => {
      const [, brackets, header] = /^\s*(\[\[?)([^\]]+)\]/.exec(line) ?? []
      const assigned = header === undefined ? KEY_PATH_BEFORE_EQUALS.exec(line)?.[1] : undefined
      if (header !== undefined) table = tablePath(keyPath(header), brackets === '[[', arrayLengths)
      const path = header === undefined ? assigned && [...table, ...keyPath(assigned)] : table
      if (!path) return
      // An implied parent counts too: `store.url = …` is the first that is seen of `store`.
      for (const name of beginnings(path)) if (!lines.has(name)) lines.set(name, index + 1)
    })
  return (...path) =>
    beginnings(path)
      .map(name => lines.get(name))
      .findLast(line => line !== undefined) ?? 1
}

/** Puts the index of an array's last table behind the array's name; `[[name]]` makes that table. */
function tablePath(
  keys: readonly string[],
  isNewInArray: boolean,
  arrayLengths: Map<string, number>,
): string[] {
  const path: string[] = []
  for (const [at, key] of keys.entries()) {
    path.push(key)
    const name = path.join('\0')
    const length = (arrayLengths.get(name) ?? 0) + (isNewInArray && at === keys.length - 1 ? 1 : 0)
    if (length === 0) continue
    arrayLengths.set(name, length)
    path.push(String(length - 1))
  }
  return path
}

/** Shortest first. */
function beginnings(path: readonly (string | number)[]): string[] {
  return path.map((_, at) => path.slice(0, at + 1).join('\0'))
}

const KEY = String.raw`(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')`
const KEY_PATH_BEFORE_EQUALS = new RegExp(String.raw`^\s*(${KEY}(?:\s*\.\s*${KEY})*)\s*=`)

function keyPath(text: string): string[] {
  return (text.match(new RegExp(KEY, 'g')) ?? []).map(key => {
    if (key.startsWith("'")) return key.slice(1, -1)
    return key.startsWith('"') ? unescaped(key) : key
  })
}

/** TOML's escapes are JSON's, and a few more that no key of ours needs. */
function unescaped(quoted: string): string {
  try {
    return JSON.parse(quoted) as string
  } catch {
    return quoted
  }
}

/** Their lines could look like keys. */
function withoutMultilineTexts(text: string): string {
  return text.replace(/"""(?:[^\\]|\\[^])*?"""|'''[^]*?'''/g, found => found.replace(/[^\n]/g, ' '))
}
