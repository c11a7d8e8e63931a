// The style sheet, as a text: a file would have to be read, from places that differ between the binary and the sources.
import { createHash } from 'node:crypto'

export const STYLE = `
:root {
  color-scheme: light dark;
  --page: #fafafa; --card: #fff; --text: #1b1f24; --dim: #57606a; --line: #d5d9de; --field: #8a929b;
  --accent: #0b5cad; --accent-soft: #e8f0f9; --good: #146c2e; --mid: #7a4d00; --bad: #b3261e; --code: #f3f4f6;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14171a; --card: #1b1f23; --text: #e4e7eb; --dim: #a3abb5; --line: #343a41; --field: #6e7782;
    --accent: #7ab7ff; --accent-soft: #1d2d40; --good: #6fcf87; --mid: #e3b341; --bad: #ff8f87; --code: #22272c;
  }
}
* { box-sizing: border-box }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100% }
body { margin: 0; background: var(--page); color: var(--text); font: 15px/1.5 system-ui, sans-serif }
a { color: var(--accent); text-underline-offset: .2em }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; border-radius: 3px }
.skip { position: absolute; left: -999px } .skip:focus { left: 1rem; top: .5rem; background: var(--card); padding: .5rem }
.bar { background: var(--card); border-bottom: 1px solid var(--line) }
.bar > div, main, footer { max-width: 76rem; margin: 0 auto; padding: 0 1rem }
.bar > div { display: flex; flex-wrap: wrap; align-items: center; gap: .5rem 1.5rem; padding-block: .6rem }
.brand { font-weight: 650; font-size: 1.1rem; text-decoration: none; color: var(--text) }
.store { color: var(--dim); overflow-wrap: anywhere; flex: 1 1 auto }
.find { display: flex; gap: .5rem; flex: 0 1 24rem } .find input { flex: 1 1 8rem; min-width: 0 }
main { padding-block: 1rem 2rem }
footer { color: var(--dim); padding-block: 0 2rem; font-size: .87rem }
h1 { font-size: 1.5rem; line-height: 1.25; margin: .5rem 0 .75rem; overflow-wrap: anywhere; font-weight: 650 }
h2 { font-size: 1.1rem; margin: 0 0 .6rem; font-weight: 650 } h3 { font-size: .95rem; margin: 1rem 0 .35rem; font-weight: 650 }
h3:first-child { margin-top: 0 }
section { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 1rem; margin: 0 0 1rem; min-width: 0 }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 0 1rem; align-items: start }
.facts { grid-template-columns: repeat(auto-fit, minmax(min(100%, 28rem), 1fr)) }
p { margin: 0 0 .6rem } p:last-child { margin-bottom: 0 } .dim { color: var(--dim) }
form.filters { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: .6rem .8rem; align-items: end }
label { display: block; font-size: .87rem; color: var(--dim) }
input, select, button, .button {
  font: inherit; color: var(--text); background: var(--card); border: 1px solid var(--field); border-radius: 5px;
  padding: .35rem .5rem; min-height: 2.2rem }
form.filters input, form.filters select { width: 100% } form.filters + p { margin-top: .7rem }
::placeholder { color: var(--dim); opacity: 1 }
button, .button { background: var(--accent-soft); border-color: var(--accent); color: var(--accent); cursor: pointer;
  text-decoration: none; display: inline-block; padding-inline: .8rem; font-weight: 550 }
.actions { display: flex; flex-wrap: wrap; gap: .5rem; align-items: center }
table { width: 100%; border-collapse: collapse; font-size: .93rem }
th, td { text-align: left; vertical-align: top; padding: .35rem .9rem .35rem 0; border-top: 1px solid var(--line); overflow-wrap: anywhere }
thead th { border-top: 0; color: var(--dim); font-weight: 550; font-size: .87rem; overflow-wrap: normal }
tbody th { font-weight: inherit } tr > :last-child { padding-right: 0 }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
table .short { white-space: nowrap; overflow-wrap: normal }
.time { white-space: nowrap; font-variant-numeric: tabular-nums }
code, pre, .mono { font: .87rem/1.5 ui-monospace, "SFMono-Regular", Menlo, Consolas, monospace }
code, .mono { overflow-wrap: anywhere }
pre { margin: 0 0 .6rem; padding: .6rem .75rem; background: var(--code); border-radius: 5px; white-space: pre-wrap; overflow-wrap: anywhere }
pre.copy { user-select: all }
dl { display: grid; grid-template-columns: minmax(6.5rem, max-content) minmax(0, 1fr); gap: .2rem 1rem; margin: 0 }
dt { color: var(--dim) } dd { margin: 0; overflow-wrap: anywhere }
.good { color: var(--good) } .mid { color: var(--mid) } .bad { color: var(--bad) }
.alert { border-color: var(--bad); border-left: 5px solid var(--bad) }
details > summary { cursor: pointer; color: var(--accent) } details[open] > summary { margin-bottom: .6rem }
.chart { display: block; width: 100%; height: auto; overflow: visible }
.chart .below { dominant-baseline: hanging }
.chart rect { fill: var(--accent) } .chart line { stroke: var(--line) } .chart text { fill: var(--dim); font: 12px system-ui, sans-serif }
ol.frames { list-style: none; margin: 0 0 1rem; padding: 0 } ol.frames:last-child { margin-bottom: 0 }
ol.frames li { display: grid; grid-template-columns: 2.6rem minmax(0, 1fr); border-top: 1px solid var(--line); padding: .25rem 0 }
ol.frames .where { color: var(--dim) } .function { font-weight: 600 }
.pages { display: flex; flex-wrap: wrap; gap: .4rem 1.2rem; align-items: center; margin-top: .8rem }
@media (max-width: 46rem) {
  .cards, .cards tbody, .cards tr, .cards th, .cards td { display: block }
  .cards thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%) }
  .cards tr { border-top: 1px solid var(--line); padding: .5rem 0 }
  .cards th, .cards td { border: 0; padding: .05rem 0 }
  .cards td { display: grid; grid-template-columns: 6rem minmax(0, 1fr); text-align: left; white-space: normal }
  .cards td::before { content: attr(data-label); color: var(--dim) }
  dl { grid-template-columns: minmax(0, 1fr) } dd { margin-bottom: .35rem }
  .chart { margin-bottom: .8rem } .chart text { font-size: 30px }
  form.filters { grid-template-columns: repeat(auto-fill, minmax(7rem, 1fr)) }
}
@media (forced-colors: active) { .chart rect { fill: CanvasText } }
@media print { .bar form, .filters, .actions { display: none } }
`

export const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="3" fill="#0b5cad"/><path d="M8 12V4M4.500 7.500 8 4l3.500 3.500" fill="none" stroke="#fff" stroke-width="2"/></svg>`

/** Changes with its content, so that a browser may keep it. */
export const STYLE_PATH = `/style-${createHash('sha256').update(STYLE).digest('hex').slice(0, 12)}.css`
export const ICON_PATH = '/icon.svg'
