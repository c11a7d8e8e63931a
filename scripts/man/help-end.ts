// The end of a command's help, taken apart: as help2man(1) does, the manual says what the help says.

/** A line of a help page's exit codes; those of the same code follow each other, and all but the first have it empty. */
export interface ExitLine {
  readonly code: string
  /** `E_USAGE`; empty for success. */
  readonly error: string
  readonly meaning: string
}

export interface HelpEnd {
  readonly exits: readonly ExitLine[]
  /** Without the prompt. */
  readonly examples: readonly string[]
  /** What stands below no heading. */
  readonly notes: string
}

/**
 * @param text - What `ending` of src/commands/define.ts makes, and remarks behind it.
 */
export function parseHelpEnd(text: string): HelpEnd {
  const lines = text.split('\n')
  const exits = lines.flatMap(line => {
    const [, code = '', error = '', meaning] = /^ {2}(\d*) +(E_\w+)? +(\S.*)$/.exec(line) ?? []
    return meaning === undefined ? [] : [{ code, error, meaning }]
  })
  const examples = lines.flatMap(line => (line.startsWith('  $ ') ? [line.slice(4)] : []))
  const notes = lines.filter(line => /^\S.*[^:]$/.test(line)).join(' ')
  return { exits, examples, notes }
}
