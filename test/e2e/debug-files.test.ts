// Executables and libraries of real crashes, through the real kernel: in the store once for all, with all that a debugger
// needs to find them.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { noKernelControl, startCrasher, underPattern } from '../lab/kernel.ts'
import { makeNode, noBinary } from '../lab/node.ts'

const skip = noKernelControl() ?? noBinary() ?? false

t.test('every mapped executable and library is stored by its build-id, once', { skip }, async t => {
  const node = makeNode('[binaries]')
  t.teardown(() => node.remove())
  const python = ['python3', '-c', 'import os, ssl, ctypes; os.abort()']
  await underPattern(node.pattern, () => startCrasher(python).ended)
  const [first] = await node.waitForManifests(1)
  await node.waitForHandlers()
  const files = first!.files!.mapped
  t.ok(files.length > 10, `${files.length} files`)
  for (const file of files)
    t.ok(existsSync(join(node.storeDir, file.key ?? 'none')), `${file.path}: ${file.why ?? file.key}`)
  t.equal(files[first!.files!.executable!]!.path, first!.process!.exe)
  const names = first!.files!.linkMap.map(({ name, file }) => `${name} ${files[file]!.path}`)
  t.ok(
    names.some(name => /^\/lib.*libc\.so\.6 .*libc\.so\.6$/.test(name)),
    names.join('\n'),
  )
})
