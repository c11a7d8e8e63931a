// Stacks of real programs, from cores that the kernel wrote, against what elfutils unwinds of them.
import { execFileSync, spawnSync } from 'node:child_process'
import { closeSync, fstatSync, openSync, readSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { vdsoModule } from '../../../src/core/image.ts'
import { modulesOf } from '../../../src/core/modules.ts'
import { functionNames } from '../../../src/core/symbols.ts'
import { threadsIn } from '../../../src/core/threads.ts'
import { type StackTrace, Unwinder } from '../../../src/core/unwind/unwinder.ts'
import { dumpCore } from '../../lab/cores.ts'
import { noKernelControl } from '../../lab/kernel.ts'
import { type BuiltProgram, PROGRAMS } from '../../lab/programs.ts'
import { openCore } from '../memories.ts'

const FRAMES_MAX = 64
/**
 * Tested below, as eu-stack ends where the instruction pointer is 0; large rather than of another kind; and Go, whose
 * code has no .eh_frame.
 */
const ELSEWHERE = /^(null-call|huge-mapping|many-mappings|heap|go-)/
const noElfutils = spawnSync('eu-stack', ['--version']).error && 'needs eu-stack'
const skip = noKernelControl() ?? noElfutils ?? false

interface Unwound {
  readonly traces: readonly StackTrace[]
  /** Of the thread that crashed, the innermost first. */
  readonly names: readonly (string | undefined)[]
}

function unwindCore(path: string): Unwound {
  const { head, memory, close } = openCore(path)
  const vdso = vdsoModule(memory, head.notes())
  const modules = [...modulesOf(head.files()), ...(vdso ? [vdso] : [])].sort((a, b) => a.start - b.start)
  const unwinder = new Unwinder({ memory, modules })
  const traces = [...threadsIn(head.notes())].map(thread => unwinder.unwind(thread))
  close()
  return { traces, names: traces[0]!.frames.map(nameOf) }
}

function nameOf({ module, isExact }: StackTrace['frames'][number]): string | undefined {
  const path = module && Buffer.from(module.path).toString()
  if (path === undefined || path.startsWith('linux-vdso')) return undefined
  const fd = openSync(path, 'r')
  const read = (at: number, into: Uint8Array): number => readSync(fd, into, 0, into.length, at)
  const [found] = functionNames({ bytes: fstatSync(fd).size, read }, [module!.offset - (isExact ? 0 : 1)])
  closeSync(fd)
  return found?.name
}

/** Addresses by thread, and names in the thread that crashed. */
interface Elfutils {
  readonly addresses: readonly (readonly [tid: number, addresses: readonly number[]])[]
  readonly names: readonly (string | undefined)[]
}

function elfutilsStacks(core: string, executable: string): Elfutils {
  // -r: names as they are in the file. It fails where one stack ends badly; what it printed counts.
  const args = ['-r', '-n', `${FRAMES_MAX}`, '--core', core, '-e', executable]
  const { stdout } = spawnSync('eu-stack', args, { encoding: 'utf8', maxBuffer: 1 << 28 })
  const threads = [...stdout.matchAll(/^TID (\d+):\n((?:#.*\n)*)/gm)].map(([, tid, frames = '']) => ({
    tid: Number(tid),
    frames: [...frames.matchAll(/^#\d+ +0x(\w+)(?: - 1)?(?: +(\S+))?/gm)],
  }))
  return {
    addresses: threads.map(({ tid, frames }) => [tid, frames.map(([, address]) => Number(`0x${address}`))]),
    // With versions; and where libc has several names for a function, one of its own use.
    names: threads[0]?.frames.map(([, , name]) => name?.replace(/@.*|^__/g, '')) ?? [],
  }
}

async function crash(t: Test, { command, env }: BuiltProgram): Promise<string> {
  const { core, remove } = await dumpCore(command, env)
  t.teardown(remove)
  return core
}

/** Each thread's addresses are elfutils', and each name that the files themselves have. */
function compare(t: Test, core: string, executable: string): Unwound {
  const unwound = unwindCore(core)
  const elfutils = elfutilsStacks(core, executable)
  t.strictSame(
    unwound.traces.map(({ tid, frames }) => [tid, frames.map(({ pc }) => pc)]),
    elfutils.addresses,
  )
  // elfutils reads debug files too, where they are installed.
  const known = elfutils.names.map((name, index) => unwound.names[index] && name)
  t.strictSame(
    unwound.names.map(name => name?.replace(/^__/, '')),
    known,
  )
  return unwound
}

for (const program of PROGRAMS.filter(({ name }) => !ELSEWHERE.test(name))) {
  t.test(
    `${program.name}: the frames of every thread are elfutils'`,
    { skip: skip || program.whyNot() || false },
    async t => {
      const built = program.build(t.testdir())
      const { traces } = compare(t, await crash(t, built), built.executable)
      if (program.threads !== undefined) t.equal(traces.length, program.threads)
      t.ok(traces.every(({ end }) => end === 'outermost' || end === 'limit'))
    },
  )
}

/** Compiles a program of a test's own. */
function compiled(t: Test, source: string): BuiltProgram {
  const executable = join(t.testdir(), 'program')
  writeFileSync(`${executable}.c`, source)
  execFileSync('gcc', ['-O1', '-fno-omit-frame-pointer', '-o', executable, `${executable}.c`])
  return { command: [executable], executable }
}

const withCompiler = { skip: skip || (spawnSync('gcc', ['--version']).error && 'needs gcc') || false }

const IN_VDSO = `
#include <time.h>
int main(void) { return clock_gettime(CLOCK_MONOTONIC, (struct timespec *)8); }`

t.test('a crash in the kernel’s own image leads back to who called it', withCompiler, async t => {
  const { command, executable } = compiled(t, IN_VDSO)
  const { traces, names } = compare(t, await crash(t, { command, executable }), executable)
  t.equal(Buffer.from(traces[0]!.frames[0]!.module!.path).toString(), 'linux-vdso.so.1')
  t.ok(names.includes('clock_gettime') && names.includes('main'), names.join())
})

// As musl's and Go's: a restorer that no .eh_frame tells of. What eu-stack makes of it is wrong.
const OWN_RESTORER = `
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
__asm__(".text\\n.type restorer, @function\\nrestorer: mov $15, %rax\\nsyscall\\n.size restorer, . - restorer");
extern void restorer(void);
static void handler(int signal) { (void)signal; abort(); }
static volatile int *volatile nowhere;
__attribute__((noinline)) static void fault(void) { *nowhere = 1; }
int main(void) {
  struct { void *handler; unsigned long flags; void *restorer; unsigned long mask; } action = {
    (void *)handler, 0x04000000, (void *)restorer, 0 };
  syscall(SYS_rt_sigaction, SIGSEGV, &action, 0, 8);
  fault();
  return 0;
}`

t.test('a signal’s frame is known by the restorer’s code', withCompiler, async t => {
  const { traces, names } = unwindCore(await crash(t, compiled(t, OWN_RESTORER)))
  const from = names.indexOf('handler')
  t.strictSame(names.slice(from, from + 4), ['handler', 'restorer', 'fault', 'main'])
  t.match(traces[0]!.frames.slice(from), [
    { isExact: false },
    { isExact: true },
    { isExact: true },
    { isExact: false },
  ])
  t.equal(traces[0]!.end, 'outermost')
})

t.test('a call of address 0 leads back to its caller', withCompiler, async t => {
  const program = PROGRAMS.find(({ name }) => name === 'null-call')!
  const { traces, names } = unwindCore(await crash(t, program.build(t.testdir())))
  t.strictSame(names.slice(0, 3), [undefined, 'call_missing', 'main'])
  t.match(traces[0], { end: 'outermost', frames: [{ pc: 0 }] })
})
