// Texts of messages and of TOML: quoted, and on one line whatever somebody wrote.

/** A text in quotes: valid TOML, and harmless to a terminal or a log. */
export function quoteText(text: string): string {
  return escapeInvisible(JSON.stringify(text))
}

/** A key as TOML has it: bare where it can be. */
export function quoteKey(key: string): string {
  return /^[A-Za-z0-9_-]+$/.test(key) ? key : quoteText(key)
}

/** Escapes every control, separator and format character: one line stays one line, and reads as it is. */
export function escapeInvisible(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, character => {
    const hex = character.codePointAt(0)!.toString(16)
    return hex.length > 4 ? `\\U${hex.padStart(8, '0')}` : `\\u${hex.padStart(4, '0')}`
  })
}

/** What is wrong with a value, cut where it is long: a message is a line. */
export function notAllowedWords(raw: unknown, allowed: string): string {
  const text = typeof raw === 'number' ? String(raw) : escapeInvisible(JSON.stringify(raw))
  return `${text.length > 100 ? `${text.slice(0, 100)}…` : text} is not allowed; allowed: ${allowed}`
}

/** `coreBytesMax` for `core_bytes_max`. */
export function fieldName(key: string): string {
  return key.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase())
}

export function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date)
}
