// What each dependency adds to the start of a program: one binary with it, compiled as dist/corelift is, against one
// without. Rows that only inform.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { scratchDirectory } from './handlers.ts'
import { interleaved, type Measurement, median, type Row } from './measurement.ts'

/** Files of imports/, each a program that loads one thing and ends; and what the handler pays it for. */
const IMPORTS = {
  config: 'configuration (smol-toml): every crash',
  zstd: 'zstd addon from a memfd: every crash',
  'tar-stream': 'tar-stream: every crash',
  s3: 'AWS SDK (store/s3): crashes stored in S3',
  grpc: 'grpc-js: crashes in pods of containerd',
  dockerode: 'dockerode: crashes of containers that no file names',
} as const
const NOTHING = 'nothing'
const ROUNDS = 5

const quantity = (what: string): string => `start, with ${what}`

/** docker-modem can speak ssh, which the build leaves out: scripts/build.ts. */
const withoutSsh: Bun.BunPlugin = {
  name: 'without-ssh2',
  setup(builder) {
    builder.onResolve({ filter: /^ssh2$/ }, () => ({ path: 'ssh2', namespace: 'left-out' }))
    builder.onLoad({ filter: /.*/, namespace: 'left-out' }, () => ({ contents: 'export {}', loader: 'js' }))
  },
}

export const importCost: Measurement = {
  name: 'import-cost',
  quantities: Object.values(IMPORTS).map(quantity),
  whyNot: () =>
    existsSync(join(import.meta.dirname, '..', 'build', 'zstd.node'))
      ? undefined
      : 'build/zstd.node is missing: npm run build',
  async measure() {
    const dir = scratchDirectory()
    try {
      const names = [NOTHING, ...Object.keys(IMPORTS)]
      const runs: Record<string, () => Promise<number>> = {}
      for (const name of names) {
        const program = await compile(name, dir)
        runs[name] = () => untilExit(program)
      }
      const milliseconds = await interleaved(runs, ROUNDS)
      const base = milliseconds[NOTHING]!
      return Object.entries(IMPORTS).map(([name, what]): Row => {
        const added = median(milliseconds[name]!.map((value, round) => value - base[round]!))
        return { quantity: quantity(what), target: '', measured: `+${added.toFixed(1)} ms`, met: undefined }
      })
    } finally {
      rmSync(dir, { recursive: true })
    }
  },
}

async function compile(name: string, dir: string): Promise<string> {
  const outfile = join(dir, name)
  const result = await Bun.build({
    entrypoints: [join(import.meta.dirname, 'imports', `${name}.ts`)],
    compile: { target: 'bun-linux-x64', outfile, autoloadDotenv: false, autoloadBunfig: false },
    minify: true,
    bytecode: true,
    format: 'esm',
    plugins: [withoutSsh],
  })
  if (!result.success) throw new AggregateError(result.logs, `imports/${name}.ts does not build`)
  return outfile
}

async function untilExit(program: string): Promise<number> {
  const begin = performance.now()
  const child = spawn(program, { stdio: 'ignore', env: {} })
  const [code] = (await once(child, 'exit')) as [number | null]
  if (code !== 0) throw new Error(`${program} ended with code ${code}`)
  return performance.now() - begin
}
