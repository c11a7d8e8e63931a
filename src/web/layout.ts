// The frame of every page, and pages that say what went wrong.
import { CoreliftError, ERROR_CODES } from '../errors.ts'
import { html, part, type Html } from './html.ts'
import { statusOf, type Reply } from './reply.ts'
import { ICON_PATH, STYLE_PATH } from './style.ts'

export interface PageFrame {
  readonly title: string
  /** What the store is called. */
  readonly storeUrl: string
  readonly status?: number
}

/** @returns A page that is sent as its parts come; a part that fails is told on the page, which is sent by then. */
export function pageReply(
  { title, storeUrl, status = 200 }: PageFrame,
  parts: Iterable<Html> | AsyncIterable<Html>,
): Reply {
  return {
    status,
    headers: { 'Content-Type': 'text/html; charset=utf-8' },
    body: pageText(title, storeUrl, parts),
  }
}

async function* pageText(
  title: string,
  storeUrl: string,
  parts: Iterable<Html> | AsyncIterable<Html>,
): AsyncGenerator<string> {
  yield part`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title} – corelift</title>
<link rel="stylesheet" href="${STYLE_PATH}">
<link rel="icon" href="${ICON_PATH}" type="image/svg+xml">
</head>
<body>
<a class="skip" href="#content">Skip to the content</a>
${headerView(storeUrl)}
<main id="content" tabindex="-1">
`.toString()
  try {
    for await (const content of parts) yield content.toString()
  } catch (error) {
    if (!(error instanceof CoreliftError)) throw error
    yield errorSection(error, 'The rest of this page is missing').toString()
  }
  yield part`</main>
<footer>Read-only. Times are UTC.</footer>
</body>
</html>
`.toString()
}

function headerView(storeUrl: string): Html {
  return html`<header class="bar">
    <div>
      <a class="brand" href="/">corelift</a>
      <span class="store">${storeUrl}</span>
      <form class="find" action="/find" method="get" role="search">
        <input
          type="search"
          name="q"
          required
          aria-label="A crash’s id, or a pod"
          placeholder="Crash id or pod"
          maxlength="300"
        />
        <button>Open</button>
      </form>
    </div>
  </header>`
}

/** @returns What went wrong, and what to do about it. */
export function errorSection({ code, message, hint }: CoreliftError, heading: string): Html {
  return html`<section class="alert" role="alert">
    <h2>${heading}</h2>
    <p>${message} <span class="dim">[${code}]</span></p>
    ${hint !== undefined && html`<p>${hint}</p>`}
  </section> `
}

/** @param advice - More, below the error. */
export function errorPage(error: CoreliftError, storeUrl: string, advice?: Html): Reply {
  const status = statusOf(error)
  const title = status === 404 ? 'Not found' : status === 400 ? 'Not understood' : 'The store'
  const { meaning } = ERROR_CODES[error.code]
  const parts = [html`<h1>${title}</h1>`, errorSection(error, meaning), advice ?? backLink]
  return pageReply({ title, storeUrl, status }, parts)
}

const backLink = html`<p><a href="/">All crashes</a></p>`

export function noSuchPage(storeUrl: string): Reply {
  const parts = [
    html`<h1>Not found</h1>
      <section><p>There is no such page.</p></section>`,
    backLink,
  ]
  return pageReply({ title: 'Not found', storeUrl, status: 404 }, parts)
}
