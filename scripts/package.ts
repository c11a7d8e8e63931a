// package.ts [BINARY [DIRECTORY]]: a .deb and an .rpm of dist/corelift, or of another binary, in dist or another directory.
// Prints their names. Run by `npm run package` under Bun; needs Debian's packages dpkg and rpm.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildDeb } from './package/deb.ts'
import { buildRpm } from './package/rpm.ts'

const root = join(import.meta.dirname, '..')
const [binary = join(root, 'dist', 'corelift'), out = join(root, 'dist')] = process.argv.slice(2)

/** Of the last change: the environment says it, else git; sources without either have that of their changelog. */
function epochSeconds(): number {
  const given = process.env['SOURCE_DATE_EPOCH']
  if (given !== undefined) return Number(given)
  const { status, stdout } = spawnSync('git', ['-C', root, 'log', '-1', '--format=%ct'], { encoding: 'utf8' })
  if (status === 0) return Number(stdout)
  return Math.floor(statSync(join(root, 'CHANGELOG.md')).mtimeMs / 1000)
}

const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
const source = { root, binary, version, epochSeconds: epochSeconds() }
const work = mkdtempSync(join(tmpdir(), 'corelift-package-'))
try {
  console.log(buildDeb(source, work, out))
  console.log(buildRpm(source, work, out))
} finally {
  rmSync(work, { recursive: true })
}
