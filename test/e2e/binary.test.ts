// What the binary and its addon need of a host: AL2023, RHEL 9 and Ubuntu 22.04 have glibc 2.34 or 2.35.
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { BINARY, noBinary } from '../lab/node.ts'

const ADDON = join(import.meta.dirname, '..', '..', 'build', 'zstd.node')
const GLIBC_MAX = [2, 34] as const
/** glibc's own parts; everything else would have to be installed. */
const GLIBC = /^(ld-linux-x86-64\.so\.2|lib(c|m|dl|pthread|rt)\.so\.\d)$/

const skip = noBinary() ?? (existsSync('/usr/bin/objdump') ? false : 'binutils (objdump) is not installed')

for (const [what, file] of Object.entries({ 'the binary': BINARY, 'the zstd addon': ADDON })) {
  t.test(`${what} needs nothing but glibc, and none newer than 2.34`, { skip }, async t => {
    const dynamic = execFileSync('objdump', ['-p', file], { encoding: 'utf8', maxBuffer: 64 << 20 })
    const libraries = [...dynamic.matchAll(/NEEDED +(\S+)/g)].map(match => match[1]!)
    t.ok(libraries.length > 0)
    t.strictSame(
      libraries.filter(library => !GLIBC.test(library)),
      [],
    )
    const symbols = execFileSync('objdump', ['-T', file], { encoding: 'utf8', maxBuffer: 64 << 20 })
    const versions = [...symbols.matchAll(/\(?(GLIBC|GLIBCXX|CXXABI|GCC)_([\d.]+)\)?/g)]
    t.ok(versions.length > 0)
    const tooNew = versions.filter(([, library, version]) => {
      const [major = 0, minor = 0] = version!.split('.').map(Number)
      return library !== 'GLIBC' || major > GLIBC_MAX[0] || (major === GLIBC_MAX[0] && minor > GLIBC_MAX[1])
    })
    t.strictSame([...new Set(tooNew.map(([text]) => text))], [])
  })
}

t.test(
  'the addon throws what zstd refuses: exceptions unwind without a newer glibc',
  { skip: existsSync(ADDON) ? false : 'not built' },
  async t => {
    const { addonZstd, loadAddon } = await import('../../src/zstd/codec.ts')
    const decompressor = addonZstd(loadAddon(ADDON)).decompressor()
    t.throws(() => decompressor.frame(Buffer.from('no zstd frame'), 100))
  },
)
