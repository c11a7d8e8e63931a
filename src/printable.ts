// Text that a workload or a server chose, on its way to a log line, a message or a terminal: it must neither end a
// line nor begin an escape sequence, nor turn the direction of writing.

/** Control characters (C0, DEL, C1), separators of lines, marks and overrides of direction, lone surrogates, `\`. */
const UNPRINTABLE = /[\p{Cc}\p{Cs}\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\\]/gu

/**
 * Makes text printable on one line.
 * @param text - A string, or bytes that ought to be UTF-8: each byte that is not becomes `\xNN`.
 * @param lengthMax - Characters to keep; longer text ends in `…`.
 * @returns Unprintable characters as `\n`, `\t`, `\xNN` or `\u{N}`, a backslash doubled.
 */
export function printable(text: string | Uint8Array, lengthMax = 1024): string {
  if (typeof text !== 'string') return printableBytes(text, lengthMax)
  const kept = text.length > lengthMax ? `${text.slice(0, lengthMax)}…` : text
  return kept.replace(UNPRINTABLE, escape)
}

function escape(character: string): string {
  const code = character.codePointAt(0)!
  if (character === '\n') return '\\n'
  if (character === '\t') return '\\t'
  if (character === '\\') return '\\\\'
  return code <= 0xff ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`
}

function printableBytes(bytes: Uint8Array, lengthMax: number): string {
  const text = decodeUtf8(bytes)
  if (text !== undefined) return printable(text, lengthMax)
  // Byte by byte: whatever is part of valid UTF-8 keeps its character.
  let result = ''
  for (let at = 0; at < bytes.length && result.length <= lengthMax;) {
    const length = [1, 2, 3, 4].find(
      n => decodeUtf8(bytes.subarray(at, at + n)) !== undefined && at + n <= bytes.length,
    )
    result +=
      length === undefined
        ? `\\x${bytes[at]!.toString(16).padStart(2, '0')}`
        : printable(decodeUtf8(bytes.subarray(at, at + length))!)
    at += length ?? 1
  }
  return result.length > lengthMax ? `${result.slice(0, lengthMax)}…` : result
}

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** @returns The text, or undefined when the bytes are not UTF-8. */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return strict.decode(bytes)
  } catch {
    return undefined
  }
}
