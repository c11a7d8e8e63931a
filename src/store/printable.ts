// Text from outside (keys of a listing, answers of a server, names of files) on its way into a message: control bytes
// would reach the kernel log and people's terminals.

/** Longer text helps nobody in a message; S3's keys end at 1,024 bytes. */
const LENGTH_MAX = 1024

/** @returns `text` with everything outside printable ASCII as `\u{…}`, cut at 1,024 characters. */
export function printable(text: string): string {
  const cut = text.length > LENGTH_MAX ? `${text.slice(0, LENGTH_MAX)}…` : text
  return cut.replace(/[^\x20-\x7e…]/gu, character => `\\u{${character.codePointAt(0)!.toString(16)}}`)
}
