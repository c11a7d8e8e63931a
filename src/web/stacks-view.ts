// The stacks of all threads, the crashed one first and open.
import type { Demangle } from '../commands/demangle.ts'
import { frameText, renderTids } from '../commands/render-stacks.ts'
import type { ManifestStacks } from '../store/manifest.ts'
import { html, part, type Html } from './html.ts'

/** Groups of threads: nobody reads on, and the manifest has all. */
const GROUPS_MAX = 200
/** Of one thread. */
const FRAMES_MAX = 500

type Group = ManifestStacks['threads'][number]

export function* stackViews(stacks: ManifestStacks, demangle: Demangle): Generator<Html> {
  const { modules, threads, threadsOmitted } = stacks
  const [crashed, ...others] = threads
  if (crashed === undefined) return
  yield html`<section>
    <h2>Stack of the thread that crashed, ${renderTids(crashed.tids)}</h2>
    ${framesView(crashed, modules, demangle)}
  </section> `
  if (others.length === 0 && threadsOmitted === 0) return
  yield part`<section><h2>Other threads</h2>
`
  for (const group of others.slice(0, GROUPS_MAX))
    yield html`<details${others.length === 1 && html` open`}><summary>${group.tids.length > 1 ? 'Threads' : 'Thread'} ${renderTids(group.tids)}</summary>${framesView(group, modules, demangle)}</details>
`
  const hidden = others.slice(GROUPS_MAX).reduce((sum, { tids }) => sum + tids.length, 0)
  if (hidden > 0) yield html`<p class="dim">${hidden} more threads: the manifest has them.</p>`
  if (threadsOmitted > 0) yield html`<p class="dim">${threadsOmitted} threads were not unwound.</p>`
  yield part`</section>
`
}

function framesView({ frames, end }: Group, modules: ManifestStacks['modules'], demangle: Demangle): Html {
  const rows = frames.slice(0, FRAMES_MAX).map((frame, number) => {
    const { name, distance, place } = frameText(frame, modules, demangle)
    const path = frame.module === undefined ? undefined : modules[frame.module]?.path
    const what =
      name === undefined
        ? html`<bdi>${place}</bdi>`
        : html`<bdi class="function">${name}</bdi>${distance}
            <span class="where">in <bdi>${place}</bdi></span>`
    return html`<li><span class="dim">#${number}</span><span${path !== undefined && html` title="${path}"`}>${what}</span></li>`
  })
  const more =
    frames.length > FRAMES_MAX && html`<p class="dim">${frames.length - FRAMES_MAX} more frames</p>`
  return html`<ol class="frames mono">
      ${rows}
    </ol>
    ${more}${end !== 'outermost' && html`<p class="dim">The walk ended here: ${end}</p>`}`
}
