import t from 'tap'
import { exact, html } from '../../src/web/html.ts'

t.test('what is put in is text, never markup, in content and in attributes', async t => {
  const name = `<b>&"'`
  t.equal(
    String(html`<p title="${name}">${name}</p>`),
    '<p title="&lt;b&gt;&amp;&quot;&#39;">&lt;b&gt;&amp;&quot;&#39;</p>',
  )
  t.equal(String(exact(`"><b>`)), '&quot;&gt;&lt;b&gt;')
})

t.test('what cannot be seen, or turns the direction of writing, is spelled out', async t => {
  t.equal(String(html`${'a\u202eb\u0000\n\\'}`), 'a\\u{202e}b\\x00\\n\\\\')
  t.equal(String(exact('a\\b')), 'a\\b', 'but not in a field, which is sent back')
})

t.test('markup stays markup, lists are joined, and what is absent is nothing', async t => {
  const items = [html`<b>1</b>`, undefined, false, null, html`<b>${0}</b>`] as const
  t.equal(String(html`<p>${items}</p>`), '<p><b>1</b><b>0</b></p>')
})

t.test('an object that looks like markup is not taken for it', async t => {
  const forged = { toString: () => '<b>' } as unknown as string
  t.throws(() => html`${forged}`)
})
