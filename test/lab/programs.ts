// Programs that crash, each in a way of its own: for tests of cores, unwinding and trimming. Their sources are in
// test/fixtures. They print nothing, and crash within a second or so, the other threads asleep by then.
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { compileFixture } from './node.ts'

const FIXTURES = join(import.meta.dirname, '..', 'fixtures')

export interface Program {
  readonly name: string
  /** @returns Why it cannot be built or run here, or undefined when it can. */
  whyNot(): string | undefined
  /** Builds it in a directory of its own below `dir`. */
  build(dir: string): BuiltProgram
  readonly signal: NodeJS.Signals
  /** At the crash; undefined where a runtime decides. */
  readonly threads?: number
  /** Its full core is larger than a test keeps. */
  readonly coreIsHuge?: true
}

export interface BuiltProgram {
  readonly command: readonly string[]
  /** ELF file that gdb and eu-stack are to read: no script, shim or symbolic link. */
  readonly executable: string
  readonly env?: Record<string, string>
}

/** Threads in pause(2), with the main one in pthread_join(3); one more crashes. */
export const manyThreads = (count: number): Program =>
  cProgram({ name: `many-threads-${count}`, source: 'many-threads', args: [`${count}`], threads: count + 2 })

/** Anonymous mappings of a page each, more than one of which the kernel cannot merge. */
export const manyMappings = (count: number): Program =>
  cProgram({
    name: `many-mappings-${count}`,
    source: 'many-mappings',
    args: [`${count}`],
    whyNot: () => tooManyMappings(count),
  })

/** Linked lists on malloc(3)'s heap. Writes about a gigabyte a second. */
export const heap = (mib: number): Program =>
  cProgram({ name: `heap-${mib}`, source: 'heap', args: [`${mib}`] })

export const PROGRAMS: readonly Program[] = [
  cProgram({ name: 'c-threads', threads: 10 }),
  cProgram({ name: 'c-threads-stripped', source: 'c-threads', flags: ['-s'], threads: 10 }),
  cProgram({
    name: 'c-threads-static',
    source: 'c-threads',
    flags: ['-static'],
    threads: 10,
    whyNot: noStaticLibc,
  }),
  cProgram({ name: 'deep-recursion', args: ['20000'] }),
  cProgram({ name: 'stack-overflow', source: 'deep-recursion' }),
  { ...cProgram({ name: 'dlopen' }), build: buildWithPlugin },
  cProgram({ name: 'altstack-reraise', source: 'signal-handler', args: ['reraise'] }),
  cProgram({ name: 'abort-in-handler', source: 'signal-handler', args: ['abort'], signal: 'SIGABRT' }),
  cProgram({ name: 'null-call' }),
  {
    name: 'cpp-exception',
    whyNot: () => notInstalled('g++'),
    build: buildCpp,
    signal: 'SIGABRT',
    threads: 1,
  },
  manyThreads(100),
  manyThreads(2000),
  { ...cProgram({ name: 'huge-mapping', args: ['20'], whyNot: strictOvercommit }), coreIsHuge: true },
  manyMappings(60_000), // fits vm.max_map_count's default of 65,530
  manyMappings(70_000), // more segments than e_phnum counts: PN_XNUM of elf(5)
  heap(64),
  { name: 'python-threads', whyNot: noPython, build: pythonProgram, signal: 'SIGSEGV', threads: 5 },
  { name: 'node-workers', whyNot: () => undefined, build: nodeProgram, signal: 'SIGSEGV' },
  { name: 'java-threads', whyNot: () => notInstalled('javac'), build: buildJava, signal: 'SIGABRT' },
  { name: 'go-routines', whyNot: () => notInstalled('go'), build: buildGo, signal: 'SIGABRT' },
]

interface CProgram {
  readonly name: string
  /** Of a file in test/fixtures, without `.c`; `name` unless given. */
  readonly source?: string
  readonly flags?: readonly string[]
  readonly args?: readonly string[]
  readonly signal?: NodeJS.Signals
  readonly threads?: number
  readonly whyNot?: () => string | undefined
}

function cProgram(program: CProgram): Program {
  const { name, source = name, flags = [], args = [], signal = 'SIGSEGV', threads = 1 } = program
  return {
    name,
    whyNot: () => notInstalled('gcc') ?? program.whyNot?.(),
    build(dir) {
      const executable = compileFixture(source, ownDir(dir, name), ...flags)
      return { command: [executable, ...args], executable }
    },
    signal,
    threads,
  }
}

function buildWithPlugin(dir: string): BuiltProgram {
  const own = ownDir(dir, 'dlopen')
  const executable = compileFixture('dlopen', own)
  return { command: [executable, compileFixture('dlopen-plugin', own, '-shared', '-fPIC')], executable }
}

function buildCpp(dir: string): BuiltProgram {
  const executable = join(ownDir(dir, 'cpp-exception'), 'cpp-exception')
  execFileSync('g++', ['-g', '-O1', '-o', executable, join(FIXTURES, 'cpp-exception.cpp')])
  return { command: [executable], executable }
}

function pythonProgram(): BuiltProgram {
  const executable = python()
  // Isolated: PYTHONFAULTHANDLER would print, and PYTHONPATH could bring another ctypes.
  return { command: [executable, '-I', join(FIXTURES, 'python-threads.py')], executable }
}

function nodeProgram(): BuiltProgram {
  // NODE_OPTIONS: a test runner's loaders are no part of the program.
  return {
    command: [process.execPath, join(FIXTURES, 'node-workers.mjs')],
    executable: process.execPath,
    env: { NODE_OPTIONS: '' },
  }
}

function buildJava(dir: string): BuiltProgram {
  const own = ownDir(dir, 'java-threads')
  // Unsafe is what javac warns of, whatever -Xlint says: it is what can write to address 0.
  execFileSync('javac', ['-d', own, join(FIXTURES, 'JavaThreads.java')], { stdio: 'ignore' })
  const executable = realpathSync(onPath('java'))
  const quiet = ['-XX:+SuppressFatalErrorMessage', '-XX:-UsePerfData']
  const small = ['-Xmx32m', '-XX:+UseSerialGC']
  return { command: [executable, ...quiet, ...small, '-cp', own, 'JavaThreads'], executable }
}

function buildGo(dir: string): BuiltProgram {
  const own = ownDir(dir, 'go-routines')
  const executable = join(own, 'go-routines')
  const env = { ...process.env, GOCACHE: join(own, 'cache'), GOFLAGS: '', GO111MODULE: 'off' }
  execFileSync('go', ['build', '-o', executable, join(FIXTURES, 'go-routines.go')], { env })
  return { command: [executable], executable }
}

function ownDir(dir: string, name: string): string {
  const own = join(dir, name)
  mkdirSync(own, { recursive: true })
  return own
}

function notInstalled(tool: string): string | undefined {
  return spawnSync(tool, ['--help'], { stdio: 'ignore' }).error ? `needs ${tool}` : undefined
}

/** @throws Error when it is not on the PATH. */
function onPath(tool: string): string {
  return execFileSync('sh', ['-c', 'command -v "$1"', 'sh', tool], { encoding: 'utf8' }).trim()
}

/** The distribution's interpreter before the one on the PATH, which may be a version manager's shell script. */
function python(): string {
  const own = '/usr/bin/python3'
  if (existsSync(own)) return realpathSync(own)
  const script = 'import os, sys; print(os.path.realpath(sys.executable))'
  return execFileSync('python3', ['-I', '-c', script], { encoding: 'utf8' }).trim()
}

function noPython(): string | undefined {
  try {
    execFileSync(python(), ['-I', '-c', 'import ctypes'], { stdio: 'ignore' })
    return undefined
  } catch {
    return 'needs python3 with ctypes'
  }
}

function noStaticLibc(): string | undefined {
  // gcc prints a path for what it finds, and the name itself otherwise.
  const path = execFileSync('gcc', ['-print-file-name=libc.a'], { encoding: 'utf8' }).trim()
  return existsSync(path) ? undefined : 'needs libc.a'
}

function tooManyMappings(count: number): string | undefined {
  const limit = kernelNumber('vm/max_map_count')
  const needed = count + 100 // libraries, heap and stack
  return limit < needed ? `vm.max_map_count is ${limit}, less than ${needed}` : undefined
}

function strictOvercommit(): string | undefined {
  // 2: MAP_NORESERVE is ignored, see proc_sys_vm(5).
  return kernelNumber('vm/overcommit_memory') === 2 ? 'vm.overcommit_memory is 2' : undefined
}

function kernelNumber(key: string): number {
  return Number(readFileSync(join('/proc/sys', key), 'utf8'))
}
