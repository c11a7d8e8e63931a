// Builds dist/corelift: the zstd addon from zstd-napi's sources, then one Bun-compiled file with the addon embedded.
// Run by `npm run build` under the Bun that npm installed; needs gcc and g++, downloads nothing.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { basename, join } from 'node:path'

const root = join(import.meta.dirname, '..')
const modules = join(root, 'node_modules')
const napi = join(modules, 'zstd-napi')
const zstd = join(napi, 'deps', 'zstd', 'lib')
const build = join(root, 'build')

function run(command: string, args: readonly string[]): void {
  const { status, error } = spawnSync(command, args, { stdio: 'inherit', cwd: root })
  if (error) throw new Error(`${command}: ${error.message} (Debian's packages gcc and g++ are needed)`)
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: exit code ${status}`)
}

/** Sources and flags follow zstd-napi's binding.gyp and deps/zstd.gyp, without node-gyp's download of headers. */
function compileJobs(): { source: string; command: string; flags: string[] }[] {
  const gyp = readFileSync(join(napi, 'deps', 'zstd.gyp'), 'utf8')
  const cSources = new Set(
    [...gyp.matchAll(/'zstd\/lib\/(\w+\/\w+\.[cS])'/g)].map(match => join(zstd, match[1]!)),
  )
  const ccSources = [...readFileSync(join(napi, 'binding.gyp'), 'utf8').matchAll(/'(src\/\w+\.cc)'/g)]
  const common = [
    '-O3',
    '-fPIC',
    '-fvisibility=hidden',
    '-ffunction-sections',
    '-fdata-sections',
    '-D_FORTIFY_SOURCE=2',
  ]
  return [
    ...[...cSources, join(root, 'native', 'dl-find-object.c')].map(source => ({
      source,
      command: 'gcc',
      flags: [
        ...common,
        '-DXXH_NAMESPACE=ZSTD_',
        '-DZSTDERRORLIB_VISIBLE=',
        '-DZSTDLIB_VISIBLE=',
        '-DZSTD_MULTITHREAD',
        '-DZSTD_NO_TRACE',
      ],
    })),
    ...ccSources.map(match => ({
      source: join(napi, match[1]!),
      command: 'g++',
      flags: [
        ...common,
        '-std=c++17',
        '-DNAPI_VERSION=8',
        '-DNODE_ADDON_API_DISABLE_DEPRECATED',
        '-DNODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS',
        '-DNODE_API_NO_EXTERNAL_BUFFERS_ALLOWED',
        '-DBUILDING_NODE_EXTENSION',
        `-I${join(modules, 'node-api-headers', 'include')}`,
        `-I${join(modules, 'node-addon-api')}`,
        `-I${zstd}`,
      ],
    })),
  ]
}

/** libstdc++ and libgcc go in: the host need only have glibc (native/dl-find-object.c says which). */
const LINK = [
  '-shared',
  '-static-libstdc++',
  '-static-libgcc',
  '-Wl,--exclude-libs,ALL',
  '-Wl,--gc-sections',
  '-Wl,--as-needed',
  '-Wl,-z,noexecstack,-z,relro,-z,now',
  '-s',
]

async function buildAddon(): Promise<string> {
  const addon = join(build, 'zstd.node')
  const jobs = compileJobs()
  const stamp = createHash('sha256').update(
    JSON.stringify([
      jobs.map(job => [job.source.slice(root.length), job.flags.map(flag => flag.replace(root, ''))]),
      LINK,
    ]),
  )
  for (const { source } of jobs) stamp.update(readFileSync(source))
  const digest = stamp.digest('hex')
  const stampFile = `${addon}.stamp`
  if (existsSync(addon) && existsSync(stampFile) && readFileSync(stampFile, 'utf8') === digest) return addon
  const objects = join(build, 'objects')
  mkdirSync(objects, { recursive: true })
  const queue = [...jobs]
  const worker = async (): Promise<void> => {
    for (let job = queue.shift(); job; job = queue.shift()) {
      const output = join(objects, `${basename(job.source)}.o`)
      const child = Bun.spawn([job.command, ...job.flags, '-c', job.source, '-o', output], {
        stdio: ['ignore', 'inherit', 'inherit'],
      })
      if ((await child.exited) !== 0) throw new Error(`${job.command}: ${job.source} does not compile`)
    }
  }
  await Promise.all(cpus().map(worker))
  run('g++', [...LINK, '-o', `${addon}.new`, ...jobs.map(job => join(objects, `${basename(job.source)}.o`))])
  renameSync(`${addon}.new`, addon)
  writeFileSync(stampFile, digest)
  rmSync(objects, { recursive: true })
  return addon
}

/** docker-modem can speak ssh to remote engines; corelift speaks to a socket on its node, and ssh2 is slow to load. */
const withoutSsh: Bun.BunPlugin = {
  name: 'without-ssh2',
  setup(builder) {
    builder.onResolve({ filter: /^ssh2$/ }, () => ({ path: 'ssh2', namespace: 'left-out' }))
    builder.onLoad({ filter: /.*/, namespace: 'left-out' }, () => ({ contents: 'export {}', loader: 'js' }))
  },
}

await buildAddon()
mkdirSync(join(root, 'dist'), { recursive: true })
const result = await Bun.build({
  entrypoints: [join(root, 'src', 'main.ts')],
  compile: {
    target: 'bun-linux-x64',
    outfile: join(root, 'dist', 'corelift.new'),
    autoloadDotenv: false,
    autoloadBunfig: false,
  },
  minify: true,
  bytecode: true,
  format: 'esm',
  plugins: [withoutSsh],
  define: {
    CORELIFT_VERSION: JSON.stringify(
      (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }).version,
    ),
  },
})
if (!result.success) throw new AggregateError(result.logs, 'bun build failed')
renameSync(join(root, 'dist', 'corelift.new'), join(root, 'dist', 'corelift'))
