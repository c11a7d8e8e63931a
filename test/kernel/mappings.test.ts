import { closeSync, openSync, readFileSync, readSync } from 'node:fs'
import * as fc from 'fast-check'
import t from 'tap'
import { fileMappings, localDevices } from '../../src/kernel/mappings.ts'
import { openMappedFile } from '../../src/kernel/map-files.ts'
import { ProcessMemory } from '../../src/kernel/process-memory.ts'

const skip = process.platform !== 'linux' && 'not Linux'
const MAPS = `00400000-00452000 r-xp 00001000 fe:01 173521      /usr/bin/a b
7f0000000000-7f0000001000 rw-p 00000000 00:00 0
7f0000002000-7f0000003000 r--s 00002000 00:2f 9   /x\\012y (deleted)
7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0   [stack]
`

t.test('mappings of files are read from maps, those of no file are not', async t => {
  const found = [...fileMappings(Buffer.from(MAPS))].map(({ path, ...rest }) => ({
    ...rest,
    path: Buffer.from(path).toString(),
  }))
  t.strictSame(found, [
    { start: 0x400000n, end: 0x452000n, fileOffset: 0x1000n, device: 'fe:01', path: '/usr/bin/a b' },
    {
      start: 0x7f0000002000n,
      end: 0x7f0000003000n,
      fileOffset: 0x2000n,
      device: '00:2f',
      path: '/x\ny (deleted)',
    },
  ])
  fc.assert(fc.property(fc.uint8Array(), bytes => [...fileMappings(bytes)].length >= 0))
})

t.test('a device is local where its file system is, and no mount says otherwise', async t => {
  const container = '1 0 0:47 / / rw - overlay overlay rw\n2 1 0:60 / /data rw shared:5 - nfs4 server:/x rw\n'
  const host = '1 0 254:1 / / rw - ext4 /dev/vda1 rw\n3 1 0:61 / /mnt rw - fuse.sshfs host:/ rw\nrubbish\n'
  const isLocal = localDevices([Buffer.from(container), Buffer.from(host)])
  t.strictSame(['fe:01', '00:2f', '00:3c', '00:3d', '00:99', ''].map(isLocal), [
    true,
    true,
    false,
    false,
    false,
    false,
  ])
})

t.test('memory is read at its addresses, up to what cannot or must not be read', { skip }, async t => {
  const exe = [...fileMappings(readFileSync('/proc/self/maps'))].find(({ fileOffset }) => fileOffset === 0n)!
  const [start, end] = [Number(exe.start), Number(exe.end)]
  const memory = ProcessMemory.open({ pid: process.pid, pidfd: undefined }, [])!
  const header = new Uint8Array(4)
  t.equal(memory.read(start, header), 4)
  t.equal(Buffer.from(header).toString('latin1'), '\x7fELF')
  t.equal(memory.read(16, header), 0)
  memory.close()
  const other = openSync(process.execPath, 'r')
  memory.close()
  t.equal(memory.read(start, header), 0, 'closed is closed')
  t.equal(readSync(other, header, 0, 4, 0), 4, 'and not what has its number now')
  closeSync(other)

  const guarded = ProcessMemory.open({ pid: process.pid, pidfd: undefined }, [{ start: start + 2, end }])!
  t.equal(guarded.read(start, header), 2, 'not beyond the beginning of what is forbidden')
  t.equal(guarded.read(start + 2, header), 0)
  t.equal(guarded.read(end - 1, header), 0)
  guarded.close()
  t.equal(ProcessMemory.open({ pid: 4_194_304, pidfd: undefined }, []), undefined)
})

t.test('a mapped file is opened by its range alone', { skip }, async t => {
  const mapping = [...fileMappings(readFileSync('/proc/self/maps'))].find(({ path }) =>
    Buffer.from(path).equals(Buffer.from(process.execPath)),
  )!
  const range = { start: Number(mapping.start), end: Number(mapping.end) }
  const file = openMappedFile(process.pid, range)
  if (file === undefined) return t.pass('', { skip: 'may not open map_files here' })
  const [header, expected] = [new Uint8Array(64), readFileSync(process.execPath).subarray(0, 64)]
  t.equal(file.read(0, header), 64)
  t.ok(expected.equals(header))
  t.equal(file.read(file.bytes, header), 0)
  file.close()
  t.equal(openMappedFile(process.pid, { start: range.start, end: range.end + 4096 }), undefined)
})
