import { html, type Html } from './html.ts'

/** @returns The word, or more of them, in the colour that says how much of the memory is there. */
export function outcomeView(outcome: string, text = outcome): Html {
  const tone = outcome === 'full' ? 'good' : outcome === 'unfinished' ? 'bad' : 'mid'
  return html`<strong class="${tone}">${text}</strong>`
}
