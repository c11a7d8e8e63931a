// Finds the line of a key in a TOML text that was parsed before: smol-toml does not keep positions.

/**
 * @param text - Valid TOML.
 * @returns A function from a section and a key in it to a line, from 1: the key's own, that of its section where the
 *   key stands inside an inline table, 1 where nothing is found.
 */
export function lineFinder(text: string): (section: string, key?: string) => number {
  const lines = new Map<string, number>()
  let table: string[] = []
  withoutMultilineTexts(text)
    .split('\n')
    .forEach((line, index) => {
      const header = /^\s*\[\[?([^\]]+)\]/.exec(line)?.[1]
      const assigned = header === undefined ? KEY_PATH_BEFORE_EQUALS.exec(line)?.[1] : undefined
      if (header !== undefined) table = keyPath(header)
      const path = header === undefined ? assigned && [...table, ...keyPath(assigned)] : table
      if (!path) return
      // An implied parent counts too: `store.url = …` is the first that is seen of `store`.
      for (let length = 1; length <= path.length; length++) {
        const name = path.slice(0, length).join('\0')
        if (!lines.has(name)) lines.set(name, index + 1)
      }
    })
  return (section, key = '') => lines.get(`${section}\0${key}`) ?? lines.get(section) ?? 1
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
