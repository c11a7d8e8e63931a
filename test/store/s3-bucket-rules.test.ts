// Lifecycle rules on the wire: S3 takes all of them or none, so those of others are in these hands.

import { createHash } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import fc from 'fast-check'
import t from 'tap'
import { asked, lifecycle, NAMESPACE, own, scripted } from './s3-bucket-scripted.ts'
import { error, status } from './s3-scripted.ts'

t.test('lifecycle rules are read in every spelling', async t => {
  const rules = [
    '<Rule><ID>filter</ID><Filter><Prefix>a/</Prefix></Filter><Status>Enabled</Status><Expiration><Days>7</Days></Expiration></Rule>',
    '<Rule><ID>legacy</ID><Prefix>b/</Prefix><Status>Disabled</Status><AbortIncompleteMultipartUpload><DaysAfterInitiation>2</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>',
    '<Rule><ID>and</ID><Filter><And><Prefix>c/</Prefix><Tag><Key>k</Key><Value>v</Value></Tag></And></Filter><Status>Enabled</Status><NoncurrentVersionExpiration><NoncurrentDays>3</NoncurrentDays></NoncurrentVersionExpiration></Rule>',
    '<Rule><ID>all</ID><Filter/><Status>Enabled</Status><Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration></Rule>',
  ]
  const none = { expireDays: null, noncurrentDays: null, abortDays: null }
  t.same(await asked(t, 'lifecycle', lifecycle(rules.join('\n'))), {
    answer: [
      { ...none, id: 'filter', enabled: true, prefix: 'a/', expireDays: 7, more: false },
      { ...none, id: 'legacy', enabled: false, prefix: 'b/', abortDays: 2, more: false },
      { ...none, id: 'and', enabled: true, prefix: 'c/', noncurrentDays: 3, more: true },
      { ...none, id: 'all', enabled: true, prefix: '', more: true },
    ],
  })
})

t.test('rules of others go back to the letter, also with what the SDK does not know', async t => {
  const others = [
    '<Rule><ID>theirs &amp; odd</ID>\n  <Filter><ArchiveZone/><Prefix>x/</Prefix></Filter><Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule>',
    '<Rule><Filter></Filter><Status>Enabled</Status><DelMarkerExpiration><Days>5</Days></DelMarkerExpiration></Rule>',
  ]
  const stale =
    '<Rule><ID>corelift-1-crashes</ID><Filter><Prefix>a/</Prefix></Filter><Status>Enabled</Status><Expiration><Days>3</Days></Expiration></Rule>'
  let headers: IncomingHttpHeaders = {}
  const { admin, requests } = await scripted(
    t,
    lifecycle(others[0]! + stale + others[1]!),
    (request, response) => {
      headers = request.headers
      response.end()
    },
  )
  await admin.setRules([own])
  const body = requests[1]!.slice(requests[1]!.indexOf('<'))
  t.match(body, /<Days>30<\/Days>/)
  t.equal(body.match(/<Rule>/g)?.length, 3, 'the rule took the place of its predecessor')
  t.ok(body.endsWith(`</Rule>${others.join('')}</LifecycleConfiguration>`))
  t.equal(
    headers['content-md5'],
    createHash('md5').update(body).digest('base64'),
    'Ceph before 17 asks for it',
  )
})

t.test("others' transitions keep the sizes that they are for", async t => {
  const size = { 'x-amz-transition-default-minimum-object-size': 'varies_by_storage_class' }
  let headers: IncomingHttpHeaders = {}
  const { admin } = await scripted(
    t,
    status(200, `<LifecycleConfiguration ${NAMESPACE}></LifecycleConfiguration>`, size),
    (request, response) => {
      headers = request.headers
      response.end()
    },
  )
  await admin.setRules([own])
  t.match(headers, size)
})

t.test('beside legacy rules, rules are legacy: S3 takes no mixture', async t => {
  const theirs =
    '<Rule><ID>old</ID><Prefix>x/</Prefix><Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule>'
  const { admin, requests } = await scripted(t, lifecycle(theirs), status(200))
  await admin.setRules([own])
  t.match(requests[1], '<Prefix>a/crashes/</Prefix>')
  t.notMatch(requests[1], '<Filter>')
})

t.test('rules that cannot be told apart are not written back', async t => {
  const rule = '<Rule><ID>a</ID><Filter/><Status>Enabled</Status></Rule>'
  for (const rules of [
    rule.replace('<ID>', '<!-- </Rule> --><ID>'),
    rule.replace('<Rule>', '<Rule a="1">'),
    '<Rule/>',
  ]) {
    const { admin, requests } = await scripted(t, lifecycle(rules), status(200))
    await t.rejects(admin.setRules([own]), { code: 'E_STORE_PROTOCOL' })
    t.equal(requests.length, 1)
  }
})

t.test('any rules of others survive, in their order', async t => {
  const name = fc.stringMatching(/^[a-z0-9-]{1,8}$/)
  const other = fc.record({
    id: name,
    days: fc.integer({ min: 1, max: 99 }),
    space: fc.constantFrom('', ' ', '\n\t'),
  })
  const property = fc.asyncProperty(
    fc.array(other, { maxLength: 5 }),
    fc.boolean(),
    async (others, hasOwn) => {
      const texts = others.map(
        ({ id, days, space }) =>
          `<Rule>${space}<ID>o-${id}</ID><Filter><Prefix>${id}</Prefix></Filter><Status>Enabled</Status><Expiration>${space}<Days>${days}</Days></Expiration></Rule>`,
      )
      const stale = `<Rule><ID>${own.id}</ID><Filter/><Status>Disabled</Status></Rule>`
      const all = hasOwn ? [...texts.slice(0, 1), stale, ...texts.slice(1)] : texts
      const { admin, requests } = await scripted(t, lifecycle(all.join('')), status(200))
      await admin.setRules([own])
      return (
        requests[1]!.endsWith(`</Rule>${texts.join('')}</LifecycleConfiguration>`) &&
        !requests[1]!.includes('Disabled')
      )
    },
  )
  await fc.assert(property, { numRuns: 25 })
})

t.test('a store without lifecycle rules says so', async t => {
  const lacking = { code: 'E_STORE_DENIED', message: /has no lifecycle rules/, hint: /other means/ }
  const denied = { code: 'E_STORE_DENIED', message: /access denied/, hint: /s3:PutLifecycleConfiguration/ }
  const none = error(404, 'NoSuchLifecycleConfiguration')
  for (const [answers, expected] of [
    [[error(501, 'NotImplemented')], lacking],
    [[none, error(501, 'NotImplemented')], lacking],
    [[error(403, 'AccessDenied')], denied],
    [[none, error(403, 'AccessDenied')], denied],
    [[none, error(503, 'SlowDown')], { code: 'E_STORE_THROTTLED' }],
  ] as const) {
    const { admin } = await scripted(t, ...answers)
    await t.rejects(admin.setRules([own]), expected)
  }
})
