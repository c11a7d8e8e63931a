import * as fc from 'fast-check'
import t, { type Test } from 'tap'
import type { CoreliftError } from '../../src/errors.ts'
import { decodeManifest } from '../../src/store/manifest-schema.ts'
import { encodeManifest, manifestText, type Manifest } from '../../src/store/manifest.ts'
import { manifestOf } from '../commands/crashes.ts'

const ID = '20261123T204008Z-2f1c0a9e33d4'
const record = manifestOf({ id: ID }, null)
const full = manifestOf(
  { id: ID },
  {
    key: 'core.zst',
    complete: true,
    bytesExpected: 1_600_000_000_000,
    bytesReceived: 1_600_000_000_000,
    bytesStored: 2,
    sha256Stored: 'a'.repeat(64),
    codec: 'zstd-napi',
    frames: 1,
    frameBytes: 16_777_216,
    segments: 1,
    threads: 1,
    machine: 'x86-64',
  },
)
const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value))

function rejects(t: Test, bytes: Uint8Array, message: RegExp): void {
  t.throws(() => decodeManifest(bytes, 'the key'), { code: 'E_MANIFEST', message })
}

t.test('a manifest comes back as it was written', async t => {
  const host: Manifest = {
    ...record,
    process: null,
    processGone: 'no such process',
    workload: { kind: 'host', unit: 'nginx.service', sources: [] },
    kit: { key: 'kit.tar.zst', bytes: 12 },
  }
  const unknown: Manifest = { ...full, workload: { kind: 'unknown', reason: 'no cgroup', sources: [] } }
  for (const manifest of [record, full, host, unknown]) {
    t.same(decodeManifest(encodeManifest(manifest)), manifest)
  }
})

t.test('a field that this version does not know is kept', async t => {
  t.match(decodeManifest(json({ ...record, later: 1, crash: { ...record.crash, cpu: 3 } })), {
    later: 1,
    crash: { cpu: 3 },
  })
})

t.test('a manifest of a newer version says so', async t => {
  rejects(t, json({ version: 2 }), /^the key has version 2, newer than this corelift$/)
})

t.test('a manifest that is not as specified names the field', async t => {
  rejects(
    t,
    json({ ...record, crash: { ...record.crash, pid: '1' } }),
    /^the key is not as specified: crash\.pid: /,
  )
  rejects(t, json({ ...record, reason: 'bad luck' }), /reason/)
  rejects(t, json({ ...full, core: { ...full.core, bytesReceived: 2 ** 60 } }), /core\.bytesReceived/)
  rejects(t, json({ ...full, core: { ...full.core, sha256Stored: 'x' } }), /core\.sha256Stored/)
  rejects(t, json([]), /not as specified/)
  rejects(t, encodeManifest(record).subarray(0, 100), /is no JSON/)
})

t.test('whatever lies in the bucket, reading it ends in a manifest or in E_MANIFEST', async t => {
  const anything = fc.oneof(
    fc.uint8Array(),
    fc.json().map(text => new TextEncoder().encode(text)),
    fc
      .tuple(fc.constantFrom(...Object.keys(full)), fc.jsonValue())
      .map(([field, value]) => json({ ...full, [field]: value })),
  )
  fc.assert(
    fc.property(anything, bytes => {
      try {
        decodeManifest(bytes)
      } catch (error) {
        t.equal((error as CoreliftError).code, 'E_MANIFEST')
      }
    }),
  )
})

t.test('text that is no UTF-8 keeps its bytes beside it', async t => {
  t.same(manifestText(new TextEncoder().encode('caf\u00e9')), { text: 'caf\u00e9', raw: undefined })
  t.same(manifestText(Uint8Array.of(0x61, 0xff)), { text: 'a\ufffd', raw: 'Yf8=' })
  // U+FFFD itself is exact, and so is a byte order mark.
  t.same(manifestText(new TextEncoder().encode('\ufeff\ufffd')), { text: '\ufeff\ufffd', raw: undefined })
})
