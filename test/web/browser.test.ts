import { existsSync } from 'node:fs'
import { join } from 'node:path'
import puppeteer, { type Browser, type Page } from 'puppeteer-core'
import t, { type Test } from 'tap'
import { MemoryStore } from '../store/memory.ts'
import { HOSTILE_ID, putHostile, putMany } from './scene.ts'
import { serve, type Served } from './serving.ts'

const CHROMIUM = '/usr/bin/chromium'
const skip = existsSync(CHROMIUM) ? false : 'needs /usr/bin/chromium'
/** Set to look at what the tests see. */
const SCREENSHOTS = process.env['CORELIFT_SCREENSHOTS']
const MANY = 250

interface Looking {
  readonly page: Page
  readonly served: Served
  /** Errors of console and page, requests that failed, dialogs. */
  readonly complaints: string[]
  visit(path: string): Promise<number>
}

let browser: Browser
let store: MemoryStore
t.before(async () => {
  if (skip) return
  browser = await puppeteer.launch({
    executablePath: CHROMIUM,
    args: ['--no-sandbox', '--headless=new', '--disable-dev-shm-usage'],
  })
  store = new MemoryStore()
  await putMany(store, MANY)
  await putHostile(store)
})
t.teardown(() => browser?.close())

async function look(t: Test, width = 1280, scheme = 'light'): Promise<Looking> {
  const served = await serve(t, store)
  const page = await browser.newPage()
  t.teardown(() => page.close())
  const complaints: string[] = []
  page.on('console', message => complaints.push(`${message.type()}: ${message.text()}`))
  page.on('pageerror', error => complaints.push(String(error)))
  page.on('requestfailed', request => complaints.push(`failed: ${request.url()}`))
  page.on('dialog', dialog => {
    complaints.push(`dialog: ${dialog.message()}`)
    void dialog.dismiss()
  })
  await page.setViewport({ width, height: 900 })
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }])
  const visit = async (path: string) => {
    const response = await page.goto(served.url + path)
    if (SCREENSHOTS !== undefined) {
      const name = `${path.replaceAll(/\W+/g, '_')}-${width}-${scheme}.png`
      await page.screenshot({ path: join(SCREENSHOTS, name), fullPage: true })
      const clip = { x: 0, y: 0, width, height: width < 400 ? 1600 : 1300 }
      await page.screenshot({ path: join(SCREENSHOTS, `top-${name}`), clip })
    }
    return response?.status() ?? 0
  }
  return { page, served, complaints, visit }
}

const PAGES: readonly [path: string, status: number][] = [
  ['/', 200],
  ['/?signal=nothing', 400],
  ['/?namespace=nobody', 200],
  [`/crash/${HOSTILE_ID}`, 200],
  ['/crash/20261123T204008Z-00000000dead', 404],
]

for (const [width, scheme] of [
  [1280, 'light'],
  [1280, 'dark'],
  [320, 'light'],
  [320, 'dark'],
] as const) {
  t.test(
    `pages ${width} px wide, ${scheme}, are whole, readable, and ask for nothing else`,
    { skip },
    async t => {
      const { page, complaints, visit } = await look(t, width, scheme)
      for (const [path, status] of PAGES) {
        t.equal(await visit(path), status, path)
        t.equal(
          await page.evaluate('document.documentElement.scrollWidth <= innerWidth'),
          true,
          `${path} fits`,
        )
        t.same(await page.evaluate(FAINT), [], `${path} has contrast AA`)
        t.same(await page.evaluate(NAMELESS), [], `${path} has names for all that can be used`)
        t.match(await page.title(), /\S – corelift$/)
        t.equal(await page.evaluate('document.documentElement.lang'), 'en')
        t.equal(await page.evaluate('document.querySelectorAll("h1").length'), 1)
      }
      // A page that was not found is one all the same; the browser logs its status.
      t.same(
        complaints.filter(text => !/status of 40[04]/.test(text)),
        [],
      )
    },
  )
}

t.test('no text of a crash becomes an element, a script or a link', { skip }, async t => {
  const { page, complaints, visit } = await look(t)
  for (const path of [
    '/',
    `/crash/${HOSTILE_ID}`,
    '/?comm=%3Cscript%3Ealert(1)%3C/script%3E&pod=%22%3E%3Cimg+src=x+onerror=alert(1)%3E',
  ]) {
    await visit(path)
    t.equal(
      await page.evaluate(
        'document.querySelectorAll("script, img, iframe, b, i, [onerror], [onload]").length',
      ),
      0,
    )
    const links = (await page.evaluate(
      '[...document.links].map(link => link.getAttribute("href"))',
    )) as string[]
    t.same(
      links.filter(href => !/^[/#]/.test(href)),
      [],
    )
    t.notMatch(await page.evaluate('document.body.textContent'), /[\u202a-\u202e\u2066-\u2069]/)
  }
  t.same(complaints, [])
})

t.test(
  'a keyboard reaches the filters first, then what is listed, and sees where it is',
  { skip },
  async t => {
    const { page, visit } = await look(t)
    await visit('/')
    const reached: string[] = []
    for (let presses = 0; presses < 40; presses++) {
      await page.keyboard.press('Tab')
      reached.push((await page.evaluate(FOCUSED)) as string)
    }
    t.equal(reached[0], 'Skip to the content')
    const at = (name: string) => reached.findIndex(text => text.startsWith(name))
    const order = [
      'namespace',
      'workload',
      'pod',
      'signal',
      'outcome',
      'since',
      'Show',
      'As a table',
      'shop/',
    ].map(at)
    t.ok(
      order.every((position, index) => position > (order[index - 1] ?? 0)),
      order.join(' '),
    )
    await page.focus('#f-pod')
    await page.keyboard.type('search-indexer-2')
    await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')])
    t.match(page.url(), /pod=search-indexer-2/)
    t.equal(
      await page.$eval('#f-pod', input => (input as unknown as { value: string }).value),
      'search-indexer-2',
    )
  },
)

t.test('the list is paged there and back, and a crash is opened by its id', { skip }, async t => {
  const { page, visit } = await look(t)
  await visit('/')
  const first = await page.$eval('.cards tbody a', link => link.getAttribute('href'))
  const follow = async (name: string) => {
    const [link] = await page.$$(`::-p-xpath(//nav//a[text()="${name}"])`)
    await Promise.all([page.waitForNavigation(), link!.click()])
    return await page.$eval('#list', heading => heading.textContent.replaceAll(/\s+/g, ' '))
  }
  t.match(await follow('Older'), /101–200 of 251/)
  t.match(await follow('Older'), /201–251 of 251/)
  t.match(await follow('Newer'), /101–200 of 251/)
  t.match(await follow('Newer'), /1–100 of 251/)
  t.equal(await page.$eval('.cards tbody a', link => link.getAttribute('href')), first)
  await page.type('.find input', HOSTILE_ID)
  await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')])
  t.ok(page.url().endsWith(`/crash/${HOSTILE_ID}`))
})

/** Texts whose contrast is below 4.5 (WCAG 1.4.3). */
const FAINT = `(() => {
  const luminance = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0)
  const numbers = text => text.match(/[\\d.]+/g).map(Number)
  const background = element => {
    for (let at = element; at; at = at.parentElement) {
      const color = numbers(getComputedStyle(at).backgroundColor)
      if (color.length < 4 || color[3] > 0) return color
    }
    return [255, 255, 255]
  }
  return [...document.querySelectorAll('body *')]
    .filter(element => !element.matches('title, desc'))
    .filter(element => [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim() !== ''))
    .filter(element => {
      const style = getComputedStyle(element)
      const [a, b] = [luminance(numbers(element.closest('svg') ? style.fill : style.color)), luminance(background(element))]
      return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) < 4.5
    })
    .map(element => element.outerHTML.slice(0, 100))
})()`

/** What can be used, and has no name (WCAG 4.1.2); headers without a scope; ids that are there twice. */
const NAMELESS = `(() => {
  const wrong = [...document.querySelectorAll('input, select')].filter(field => !field.labels.length && !field.ariaLabel)
  wrong.push(...[...document.querySelectorAll('a, button, summary, h1, h2')].filter(one => one.textContent.trim() === ''))
  wrong.push(...document.querySelectorAll('th:not([scope])'))
  wrong.push(...[...document.querySelectorAll('[id]')].filter(one => document.querySelectorAll('#' + one.id).length > 1))
  wrong.push(...[...document.querySelectorAll('[aria-labelledby], [aria-describedby]')].filter(one =>
    (one.getAttribute('aria-labelledby') ?? one.getAttribute('aria-describedby')).split(' ').some(id => !document.getElementById(id))))
  return wrong.map(element => element.outerHTML.slice(0, 100))
})()`

/** Name of what has the focus; says where that cannot be seen. */
const FOCUSED = `(() => {
  const one = document.activeElement
  const seen = getComputedStyle(one).outlineStyle !== 'none' ? '' : 'unseen '
  return seen + (one.name || one.textContent.trim())
})()`
