// HTML by one tagged template that escapes all that is put into it. What a workload chose is made printable as well: on
// a page it could turn the direction of writing, or be invisible.
import { printable } from '../printable.ts'

/** Markup that is safe to send. Only this file makes it. */
export class Html {
  readonly #markup: string

  constructor(markup: string) {
    this.#markup = markup
  }

  toString(): string {
    return this.#markup
  }
}

/** Nothing at all for what is absent; zero is a number. */
export type HtmlValue = Html | string | number | undefined | null | false | readonly HtmlValue[]

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

const escaped = (text: string): string => text.replaceAll(/[&<>"']/g, character => ENTITIES[character]!)

/** @returns The markup, each value escaped; attributes have to stand in quotes. */
export function html(markup: TemplateStringsArray, ...values: readonly HtmlValue[]): Html {
  let result = markup[0]!
  for (const [index, value] of values.entries()) result += markupOf(value) + markup[index + 1]!
  return new Html(result)
}

/** The same, for markup that another part closes: Prettier closes what it finds in `html`. */
export const part = html

function markupOf(value: HtmlValue): string {
  if (value === undefined || value === null || value === false) return ''
  if (typeof value === 'string') return escaped(printable(value, Infinity))
  if (typeof value === 'number') return String(value)
  return value instanceof Html ? value.toString() : value.map(markupOf).join('')
}

/** For the value of a field in a form, which is sent back as it is: escaped, and not made printable. */
export function exact(text: string): Html {
  return new Html(escaped(text))
}
