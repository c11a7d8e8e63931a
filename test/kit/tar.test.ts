import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readEntry, TarWriter } from '../../src/kit/tar.ts'

async function archiveOf(entries: Record<string, readonly Uint8Array[]>): Promise<Uint8Array[]> {
  const chunks: Uint8Array[] = []
  const tar = new TarWriter(new Date(1_000_000), async bytes => void chunks.push(bytes.slice()))
  for (const [name, content] of Object.entries(entries)) {
    const bytes = content.reduce((sum, chunk) => sum + chunk.length, 0)
    await tar.add(name, bytes, content)
  }
  await tar.finish()
  return chunks
}

async function* asStream(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks
}

async function contentOf(archive: readonly Uint8Array[], name: string): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of readEntry(asStream(archive), name)) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** One buffer for all chunks, as who reads a process's memory has it. */
function* reused(count: number, bytes: number): Generator<Uint8Array> {
  const buffer = new Uint8Array(bytes)
  for (let index = 0; index < count; index++) yield buffer.fill(index)
}

t.test('entries come back by their names, also to tar itself', async t => {
  const archive = await archiveOf({ 'proc/comm': [Buffer.from('a\n')], empty: [], log: [Buffer.from('b')] })
  t.equal((await contentOf(archive, 'proc/comm')).toString(), 'a\n')
  t.equal((await contentOf(archive, 'log')).toString(), 'b')
  t.equal((await contentOf(archive, 'absent')).length, 0)
  const file = join(t.testdir(), 'kit.tar')
  writeFileSync(file, Buffer.concat(archive))
  t.equal(execFileSync('tar', ['-tf', file]).toString(), 'proc/comm\nempty\nlog\n')
})

t.test('chunks may share one buffer', async t => {
  const chunks: Uint8Array[] = []
  const tar = new TarWriter(new Date(0), async bytes => void chunks.push(bytes.slice()))
  await tar.add('many', 64 * 65_536, reused(64, 65_536))
  await tar.finish()
  const expected = Buffer.concat(Array.from({ length: 64 }, (_, index) => Buffer.alloc(65_536, index)))
  t.ok((await contentOf(chunks, 'many')).equals(expected))
})

t.test('a content of another size than was said, and what is no archive, are errors', async t => {
  const tar = new TarWriter(new Date(0), async () => undefined)
  await t.rejects(tar.add('short', 3, [Buffer.from('ab')]))
  await t.rejects(contentOf([Buffer.alloc(1024, 0x61)], 'x'))
})
