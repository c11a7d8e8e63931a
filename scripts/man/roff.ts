// man(7) as groff and mandoc read it: texts made harmless, and the few macros that pages are made of.

/** A page as `man/corelift-ls.1`: what its first line and its file's name say. */
export interface Page {
  /** `corelift-ls` */
  readonly name: string
  /** 1: commands; 5: files; 8: commands of the administrator: man(1). */
  readonly section: 1 | 5 | 8
  readonly roff: string
}

export interface Release {
  readonly version: string
  /** `2026-11-24` */
  readonly date: string
}

/**
 * @param summary - For whatis(1), which takes the line apart at its dash.
 * @param body - Lines of man(7), those of the section NAME aside.
 */
export function page(
  name: string,
  section: Page['section'],
  summary: string,
  { version, date }: Release,
  body: readonly string[],
): Page {
  const title = `.TH ${literal(name.toUpperCase())} ${section} ${date} "corelift ${version}" corelift`
  const lines = [title, '.SH NAME', `${literal(name)} \\- ${prose(summary)}`, ...body]
  return { name, section, roff: `${lines.join('\n')}\n` }
}

/** A text that is copied and pasted: what groff would make typographic stays as it is typed. */
export function literal(text: string): string {
  const typed: Record<string, string> = {
    '-': '\\-',
    "'": '\\(aq',
    '`': '\\(ga',
    '^': '\\(ha',
    '~': '\\(ti',
    '"': '\\(dq',
  }
  return escaped(text).replaceAll(/[-'`^~"]/g, character => typed[character]!)
}

/** Sentences: `code` in bold, options with hyphens that can be searched for. */
export function prose(text: string): string {
  return text
    .split(/(`[^`]+`|(?<![\w-])--?[A-Za-z1][\w-]*)/)
    .map((part, index) => {
      if (index % 2 === 0) return escaped(part)
      return part.startsWith('`') ? bold(part.slice(1, -1)) : literal(part)
    })
    .join('')
    .replaceAll(/^(?=[.'])/gm, '\\&')
}

export const bold = (text: string): string => `\\fB${literal(text)}\\fR`
export const italic = (text: string): string => `\\fI${literal(text)}\\fR`

/** What people put their own in for is in italics: `[options] <id|pod>`. */
export function usage(text: string): string {
  return text
    .split(/([A-Za-z|-]+)/)
    .map((part, index) => (index % 2 === 0 ? escaped(part) : part === '|' ? part : italic(part)))
    .join('')
}

/** A heading begins a paragraph by itself. */
const headed = (heading: string, [first, ...rest]: readonly string[]): string[] => [
  heading,
  ...(first === undefined || first === '.PP' ? [] : [first]),
  ...rest,
]
export const section = (title: string, ...lines: readonly string[]): string[] => headed(`.SH ${title}`, lines)
export const subsection = (title: string, ...lines: readonly string[]): string[] =>
  headed(`.SS ${title}`, lines)

/** @param text - Paragraphs, an empty line between them; one that is indented is shown as it is. */
export function paragraphs(text: string): string[] {
  return text
    .split('\n\n')
    .flatMap(part =>
      part.startsWith(' ') ? verbatim(part.split('\n').map(line => line.trim())) : ['.PP', prose(part)],
    )
}

/** @param tag - man(7) already. */
export function tagged(tag: string, text: string): string[] {
  return ['.TP', tag, prose(text)]
}

/** Lines that are not filled. */
export function verbatim(lines: readonly string[]): string[] {
  return ['.PP', '.RS 4', '.nf', ...lines.map(line => `\\&${literal(line)}`), '.fi', '.RE']
}

/** Backslashes as such, and characters beyond ASCII by number, whatever encoding the reader's roff expects. */
function escaped(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll(
      /[^\x00-\x7f]/gu,
      character => `\\[u${character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}]`,
    )
}
