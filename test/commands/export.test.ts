// What an export may hold, where a kit or a manifest was crafted: names below one directory, and nothing else.
import { execFileSync } from 'node:child_process'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { pack } from 'tar-stream'
import { buffer } from 'node:stream/consumers'
import { exportName, writeExport } from '../../src/commands/export.ts'
import { planSysroot } from '../../src/debug/sysroot-plan.ts'
import { readEntries } from '../../src/kit/tar.ts'
import { crashPrefix, kitKey } from '../../src/store/keys.ts'
import type { Manifest } from '../../src/store/manifest.ts'
import type { FrameCompressor } from '../../src/zstd/codec.ts'
import { MemoryStore } from '../store/memory.ts'
import { deflateFrames, manifestOf, seekable } from './crashes.ts'

const ID = '20261124T120000Z-000000000001'
const TOP = `corelift-cart-${ID}`

/** Of one frame. */
const SEEK_TABLE_BYTES = 25

/** One frame of what it is given. */
const plain: FrameCompressor = {
  codec: 'runtime',
  frameBytes: 2 ** 30,
  write: async (input, sink) => {
    await sink(input)
  },
  end: () => Promise.resolve(),
}

type Header = Parameters<ReturnType<typeof pack>['entry']>[0]

/** @returns What was said to be left out, and the archive's entries by name. */
async function exportOf(kit: readonly Header[], changes: Partial<Manifest> = {}) {
  const dir = t.testdir({ core: 'the core', sysroot: { bin: { cart: 'the program' } } })
  symlinkSync('cart', join(dir, 'sysroot', 'bin', 'alias'))
  const archive = pack()
  for (const header of kit) {
    if (header.type === undefined) archive.entry(header, 'text')
    else archive.entry(header)
  }
  archive.finalize()
  const store = new MemoryStore()
  const prefix = crashPrefix({ namespace: 'shop', pod: 'cart', id: ID })
  const { object } = seekable(await buffer(archive), 4096)
  store.objects.set(kitKey(prefix), object)
  const manifest = {
    ...manifestOf({ id: ID }, null),
    kit: { key: 'kit.tar.zst', bytes: object.length },
    ...changes,
  } as Manifest
  const prepared = {
    ...{ core: join(dir, 'core'), sysroot: join(dir, 'sysroot'), executable: undefined, searchPaths: [] },
    plan: planSysroot(manifest),
    ...{ kinds: { executable: undefined, core: undefined }, coreKind: 'full' as const },
  }
  const crash = { id: ID, namespace: 'shop', pod: 'cart', prefix, objects: undefined }
  const chunks: Uint8Array[] = []
  const leftOut = await writeExport(
    { store, crash, manifest, prepared, decompressor: deflateFrames },
    plain,
    { write: async bytes => void chunks.push(bytes.slice()) },
    new AbortController().signal,
  )
  const tar = Buffer.concat(chunks).subarray(0, -SEEK_TABLE_BYTES)
  return { leftOut, tar, names: await namesIn(tar) }
}

async function namesIn(tar: Buffer): Promise<string[]> {
  const names: string[] = []
  for await (const { name } of readEntries(only(tar))) names.push(name)
  return names
}

async function* only(bytes: Uint8Array) {
  yield bytes
}

t.test('an export has everything below one directory', async t => {
  const { names, leftOut } = await exportOf([{ name: 'proc/comm' }, { name: 'log' }])
  t.same(leftOut, [])
  t.same(names.sort(), [
    TOP,
    `${TOP}/README.txt`,
    `${TOP}/core`,
    `${TOP}/kit`,
    `${TOP}/kit/log`,
    `${TOP}/kit/proc/comm`,
    `${TOP}/manifest.json`,
    `${TOP}/run-gdb`,
    `${TOP}/sysroot`,
    `${TOP}/sysroot/bin`,
    `${TOP}/sysroot/bin/alias`,
    `${TOP}/sysroot/bin/cart`,
  ])
})

t.test('what a crafted kit has beyond its own names is left out, and said', async t => {
  const hostile: Header[] = [
    { name: '../../outside' },
    { name: '/etc/passwd' },
    { name: 'proc/../../../outside' },
    { name: 'a/b/c' },
    { name: '.hidden' },
    { name: 'proc/\u001b[2J' },
    { name: 'link', type: 'symlink', linkname: '/etc/passwd' },
    { name: 'hard', type: 'link', linkname: 'proc/comm' },
    { name: 'device', type: 'block-device' },
    { name: 'fifo', type: 'fifo' },
  ]
  const { names, leftOut, tar } = await exportOf([{ name: 'proc/comm' }, ...hostile, { name: 'proc/comm' }])
  t.equal(leftOut.length, hostile.length + 1)
  t.notOk(
    leftOut.some(text => text.includes('\u001b')),
    'and shown without control characters',
  )
  t.same(
    names.filter(name => name.startsWith(`${TOP}/kit/`)),
    [`${TOP}/kit/proc/comm`],
  )
  const target = t.testdir({})
  mkdirSync(join(target, 'in'))
  writeFileSync(join(target, 'e.tar'), tar)
  execFileSync('tar', ['-xf', join(target, 'e.tar'), '-C', join(target, 'in')], { stdio: 'ignore' })
})

t.test('a comm is no way out', t => {
  const process = (comm: string) => ({ ...manifestOf({ id: ID }, null).process!, comm })
  t.equal(exportName({ id: ID, process: process('../../x') }), `corelift-.._.._x-${ID}`)
  t.equal(exportName({ id: ID, process: process('a b\n$(x)') }), `corelift-a_b___x_-${ID}`)
  t.equal(exportName({ id: ID, process: null }), `corelift-unknown-${ID}`)
  t.end()
})
