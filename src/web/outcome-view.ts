import { html, type Html } from './html.ts'

/** @returns The word, in the colour that says how much of the memory is there. */
export function outcomeView(outcome: string): Html {
  const tone = outcome === 'full' ? 'good' : outcome === 'unfinished' ? 'bad' : 'mid'
  return html`<strong class="${tone}">${outcome}</strong>`
}
