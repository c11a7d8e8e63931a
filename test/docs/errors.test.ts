import { readFileSync } from 'node:fs'
import t from 'tap'
import { ERROR_CODES, EXIT } from '../../src/errors.ts'

const page = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8')
const sections = new Map(
  page
    .split(/^## /m)
    .slice(1)
    .map(section => [section.slice(0, section.indexOf('\n')), section.replace(/\s+/g, ' ')]),
)

t.test('every code has a section, and every section a code', async t => {
  t.same([...sections.keys()], Object.keys(ERROR_CODES))
})

t.test("a section begins with its code's exit code and meaning", async t => {
  for (const [code, { exit, meaning }] of Object.entries(ERROR_CODES)) {
    t.ok(sections.get(code)?.startsWith(`${code} Exit code ${exit}: ${meaning}`), code)
  }
})

t.test('every exit code is in the table', async t => {
  t.same(
    [...page.matchAll(/^\| (\d+) \|/gm)].map(([, code]) => Number(code)),
    Object.values(EXIT),
  )
})
