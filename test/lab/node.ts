// A node of one's own: configuration, state and a store on a tmpfs, with the compiled binary as its handler.
import { execFile, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { corePattern } from '../../src/kernel/core-pattern.ts'
import type { Manifest } from '../../src/store/manifest.ts'
import { decodeManifest } from '../../src/store/manifest-schema.ts'

const ROOT = join(import.meta.dirname, '..', '..')
export const BINARY = join(ROOT, 'dist', 'corelift')
/** A tmpfs with a short name: core_pattern holds 127 bytes, and a file store is refused on the root file system. */
const TMPFS = '/dev/shm'

const UNRATIONED = 'signature_full = "100000/hour"\nworkload_full = "100000/hour"\n'

/** @returns Why the handler cannot run here, or undefined when it can. */
export function noBinary(): string | undefined {
  return existsSync(BINARY) ? undefined : 'dist/corelift is not built: npm run build'
}

export interface CommandResult {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export interface TestNode {
  readonly dir: string
  readonly storeDir: string
  readonly configFile: string
  /** Short link to the binary. */
  readonly binary: string
  /** For kernel.core_pattern. */
  readonly pattern: string
  /** A pattern by which all that the kernel sends is also written to `teeFile`. */
  readonly teePattern: string
  readonly teeFile: string
  /** Runs the handler by hand, as the kernel would. */
  handle(specifiers: readonly string[], stdin: Uint8Array): Promise<CommandResult>
  /** Runs a command of the people's CLI against the store. */
  cli(...args: string[]): Promise<CommandResult>
  manifests(): Manifest[]
  /** Unpacks a crash's kit. @returns The directory. */
  unpackKit(manifest: Manifest): string
  /** Waits until a core is being uploaded. */
  waitForUpload(): Promise<void>
  /** Waits for the records of `count` crashes. */
  waitForManifests(count: number): Promise<Manifest[]>
  /** Waits until handlers are gone: they send executables and libraries when the crash is on record. */
  waitForHandlers(): Promise<void>
  hasHandlers(): boolean
  remove(): void
}

/**
 * @param config - More configuration, TOML; `[store]` (unless `store` replaces it), `state_dir` and high rates are given.
 * `$DIR` in it stands for the node's directory.
 */
export function makeNode(config = '', store?: string): TestNode {
  const dir = mkdtempSync(join(TMPFS, 'cl-'))
  const storeDir = join(dir, 'store')
  mkdirSync(storeDir)
  const configFile = join(dir, 'c.toml')
  const budget = /^\[budget\]$/m.test(config) ? '' : '[budget]\n'
  // Tests crash the same program over and over; those about rates say their own.
  const rates = /^(signature|workload)_full/m.test(config) ? '' : UNRATIONED
  const state = `state_dir = "${dir}/state"\n${rates}`
  // Tests of other things are done with when the crash is.
  const binaries = /^\[binaries\]$/m.test(config) ? '' : '[binaries]\nenabled = false\n'
  const text = `${store ?? `[store]\nurl = "file://${storeDir}"`}\n${budget}${budget && state}${config.replace(/^\[budget\]$/m, `[budget]\n${state}`)}\n${binaries}`
  writeFileSync(configFile, text.replaceAll('$DIR', dir))
  const binary = join(dir, 'b')
  symlinkSync(BINARY, binary)
  const teeFile = join(dir, 'sent')
  const tee = join(dir, 't')
  writeFileSync(tee, `#!/bin/sh\n/usr/bin/tee ${teeFile} | exec ${binary} "$@"\n`, { mode: 0o755 })
  const manifests = (): Manifest[] =>
    filesBelow(join(storeDir, 'crashes'))
      .filter(path => path.endsWith('/manifest.json'))
      .map(path => decodeManifest(readFileSync(path), path))
  return {
    dir,
    storeDir,
    configFile,
    binary,
    pattern: corePattern([binary, 'handle', '--config', configFile]),
    teePattern: corePattern([tee, 'handle', '--config', configFile]),
    teeFile,
    handle: (specifiers, stdin) => run(binary, ['handle', '--config', configFile, ...specifiers], stdin),
    cli: (...args) => run(binary, [...args, '--config', configFile]),
    manifests,
    unpackKit(manifest) {
      const kit = filesBelow(storeDir).find(file => file.endsWith(`${manifest.id}/kit.tar.zst`))
      const unpacked = join(dir, `kit-${manifest.id}`)
      mkdirSync(unpacked)
      const tar = execFileSync('zstd', ['-dc', kit ?? '/nonexistent'], { maxBuffer: 1 << 26 })
      execFileSync('tar', ['-x', '-C', unpacked], { input: tar })
      return unpacked
    },
    async waitForUpload() {
      for (let tries = 0; tries < 2000; tries++) {
        if (filesBelow(join(storeDir, '.incoming')).length > 0) return
        await new Promise(resolve => setTimeout(resolve, 10))
      }
      throw new Error('no core was streamed')
    },
    async waitForManifests(count) {
      for (let tries = 0; tries < 1200; tries++) {
        // The index entry is written after the manifest: with it the handler is done.
        const found = manifests()
        if (found.length >= count && filesBelow(join(storeDir, 'index')).length >= count) return found
        await new Promise(resolve => setTimeout(resolve, 50))
      }
      throw new Error(`${manifests().length} of ${count} crashes are on record after a minute`)
    },
    hasHandlers: () => isNamedByProcess(configFile),
    async waitForHandlers() {
      for (let tries = 0; isNamedByProcess(configFile); tries++) {
        if (tries === 1200) throw new Error('a handler is at work after a minute')
        await new Promise(resolve => setTimeout(resolve, 50))
      }
    },
    remove: () => rmSync(dir, { recursive: true, force: true }),
  }
}

/** @returns What the process printed, whatever its exit code. */
export async function run(
  command: string,
  args: readonly string[],
  stdin?: Uint8Array,
  env: NodeJS.ProcessEnv = process.env,
): Promise<CommandResult> {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], env })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString('utf8')))
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString('utf8')))
  child.stdin.on('error', () => undefined) // a handler that refuses closes its end first: EPIPE
  child.stdin.end(stdin)
  const [code] = (await once(child, 'close')) as [number | null]
  return { code: code ?? -1, stdout, stderr }
}

/** Whether a process has a file on its command line. */
function isNamedByProcess(file: string): boolean {
  return readdirSync('/proc').some(name => {
    try {
      return /^\d+$/.test(name) && readFileSync(`/proc/${name}/cmdline`, 'latin1').includes(file)
    } catch {
      return false // it has gone meanwhile
    }
  })
}

function filesBelow(dir: string): string[] {
  if (!existsSync(dir)) return []
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath, entry.name))
}

/** Compiles one of test/fixtures' C programs. @returns The program's path. */
export function compileFixture(name: string, dir: string, ...flags: string[]): string {
  const program = join(dir, name)
  execFileSync('gcc', [
    '-g',
    '-O1',
    '-pthread',
    ...flags,
    '-o',
    program,
    join(ROOT, 'test', 'fixtures', `${name}.c`),
  ])
  return program
}

/** sha256 of a file by coreutils, in hex. */
export async function sha256OfFile(path: string): Promise<string> {
  const { stdout } = await promisify(execFile)('sha256sum', [path])
  return stdout.slice(0, 64)
}

/** @returns gdb's output for its commands on a core. */
export function gdb(program: string, core: string, ...commands: string[]): string {
  const args = ['-nx', '-batch', ...commands.flatMap(command => ['-ex', command]), program, core]
  return execFileSync('gdb', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
}
