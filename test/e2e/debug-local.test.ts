// From a pod's name to a backtrace on a machine that has nothing of the program: programs crash under gdb, go into a store, and
// are removed before the compiled binary is asked.
import { execFileSync, spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import {
  crashUnderGdb,
  CRASH_ID,
  POD,
  storeDebugCrash,
  type DebugCrash,
  type Seen,
} from '../lab/debug-crash.ts'
import { BINARY, compileFixture, noBinary, run } from '../lab/node.ts'
import { PROGRAMS } from '../lab/programs.ts'

const FIXTURES = join(import.meta.dirname, '..', 'fixtures')
const skip = noBinary() ?? missing('gdb') ?? missing('gcc') ?? missing('readelf') ?? false
const COLD_MS_MAX = 2000

function missing(tool: string): string | undefined {
  return spawnSync(tool, ['--help'], { stdio: 'ignore' }).error ? `${tool} is not installed` : undefined
}

function program(wanted: string) {
  const found = PROGRAMS.find(({ name }) => name === wanted)!
  return { skip: found.whyNot() ?? false, build: (dir: string) => found.build(dir).command }
}

/** A laptop: an empty directory and an empty cache, on another file system than the store. */
interface Laptop {
  readonly dir: string
  readonly cache: string
  corelift(args: readonly string[], env?: NodeJS.ProcessEnv, stdin?: string): ReturnType<typeof run>
}

function laptop(t: Test, crash: DebugCrash): Laptop {
  const dir = mkdtempSync('/tmp/cl laptop')
  t.teardown(() => {
    rmSync(dir, { recursive: true, force: true })
    crash.remove()
  })
  mkdirSync(join(dir, 'empty'))
  const base = { HOME: dir, XDG_CACHE_HOME: join(dir, "ca che's"), PATH: process.env['PATH'], TERM: 'dumb' }
  const store = [`--store-url=file://${crash.store}`]
  return {
    dir,
    cache: join(base.XDG_CACHE_HOME, 'corelift'),
    corelift(args, env = {}, stdin = '') {
      const script = [
        '-c',
        'cd "$1" && shift && exec "$@"',
        'sh',
        join(dir, 'empty'),
        BINARY,
        ...args,
        ...store,
      ]
      // Store options stand before `--`.
      const end = args.indexOf('--')
      if (end >= 0) script.splice(5, args.length + 1, ...args.slice(0, end), ...store, ...args.slice(end))
      return run('/bin/sh', script, Buffer.from(stdin), { ...base, ...env })
    },
  }
}

/** Names of functions, as gdb's frames have them, of all threads. */
function functions(backtrace: string): string[] {
  return [...backtrace.matchAll(/^#\d+ +(?:0x[0-9a-f]+ in )?(.*?) \(/gm)].map(match => match[1]!)
}

/** Crashes a program that is nowhere afterwards. */
async function crashed(
  build: (dir: string) => readonly string[],
  change: (seen: Seen, dir: string) => Seen = seen => seen,
): Promise<{ crash: DebugCrash; seen: Seen; dir: string }> {
  const dir = realpathSync(mkdtempSync('/tmp/cl app'))
  try {
    const seen = crashUnderGdb(build(dir), dir)
    return { crash: await storeDebugCrash(change(seen, dir), dir), seen, dir }
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

function withPlugin(dir: string): readonly string[] {
  mkdirSync(join(dir, 'plugins'))
  compileFixture('dlopen-plugin', join(dir, 'plugins'), '-shared', '-fPIC')
  compileFixture('dlopen', dir)
  // A name that only the working directory gives a meaning.
  return ['./dlopen', 'plugins/dlopen-plugin']
}

t.test('a plugin by a relative name: the same frames, and every library from the tree', { skip }, async t => {
  const { crash, seen, dir } = await crashed(withPlugin)
  const { corelift, cache } = laptop(t, crash)
  const expected = functions(seen.backtrace)
  t.ok(expected.includes('plugin_compare') && expected.includes('crash_in_callback'), seen.backtrace)
  const bt = await corelift(['bt', POD])
  t.match(bt, { code: 0, stderr: '' })
  t.strictSame(functions(bt.stdout), expected)
  t.match(bt.stdout, /^Program terminated with signal SIGSEGV/)
  const batch = await corelift([
    'debug',
    '--batch',
    'bt',
    '--batch',
    'info sharedlibrary',
    '--batch',
    'frame 8',
    POD,
  ])
  t.equal(batch.code, 0)
  t.same(functions(batch.stdout).slice(1, 1 + expected.length), expected)
  const libraries = [...batch.stdout.matchAll(/^0x\S+ +0x\S+ +(\S+) .*?(\/.*)$/gm)].map(([, read, path]) => [
    read,
    path!.startsWith(`${cache}/sysroots/${CRASH_ID}.`),
  ])
  t.equal(libraries.length, 3, batch.stdout)
  for (const library of libraries) t.strictSame(library, ['Yes', true])
  t.match(batch.stdout, `${dir}/plugins/dlopen-plugin`)
  t.notMatch(batch.stderr, /warning/)
})

t.test('what is fetched is the cache’s, and another run asks the store for little', { skip }, async t => {
  const { crash } = await crashed(withPlugin)
  const { corelift, cache, dir } = laptop(t, crash)
  t.equal((await corelift(['bt', CRASH_ID])).code, 0)
  t.same(readdirSync(join(dir, 'empty')), [])
  t.same(readdirSync(join(cache, 'cores')), [`${CRASH_ID}.full`])
  t.equal(readdirSync(join(cache, 'files')).length, 4)
  t.same(readdirSync(join(cache, 'runs')), [])
  for (const kind of ['buildid', 'sha256']) rmSync(join(crash.store, kind), { recursive: true, force: true })
  const again = await corelift(['bt', CRASH_ID])
  t.match(again, { code: 0, stderr: '', stdout: /crash_in_callback/ })
  const cleared = JSON.parse((await corelift(['cache', '--clear', '--json'])).stdout)
  t.match(cleared, { bytes: 0, entries: [] })
  t.equal(cleared.removed.removed.length, 6)
})

t.test('files that are not in the store are told in one line', { skip }, async t => {
  const { crash } = await crashed(withPlugin)
  const { corelift } = laptop(t, crash)
  const plugin = crash.files.find(({ path }) => path.endsWith('plugin'))!
  rmSync(join(crash.store, 'buildid', plugin.buildId!), { recursive: true })
  const { code, stdout, stderr } = await corelift(['bt', POD])
  t.equal(code, 0)
  t.equal(
    stderr,
    'corelift: 1 of 4 files are not in the store (yet): dlopen-plugin; frames in them have no names, and stacks may end there\n',
  )
  t.match(functions(stdout), ['crash_in_callback', '??'])
})

t.test('nothing that lies beside a container’s files runs in a debugger', { skip }, async t => {
  const marks: string[] = []
  const { crash, dir } = await crashed(
    dir => {
      const mark = `/tmp/cl-ran-${process.pid}`
      marks.push(mark)
      const inline = join(dir, 'inline.s')
      writeFileSync(
        inline,
        `.pushsection .debug_gdb_scripts,"MS",@progbits,1\n.byte 4\n.ascii "x\\nopen('${mark}','w')\\n"\n.byte 0\n.popsection\n.section .note.GNU-stack,"",@progbits\n`,
      )
      compileFixture('dlopen-plugin', dir, '-shared', '-fPIC')
      execFileSync('gcc', ['-g', '-o', join(dir, 'dlopen'), join(FIXTURES, 'dlopen.c'), inline])
      writeFileSync(join(dir, 'dlopen-gdb.py'), `open('${mark}','w')\n`)
      writeFileSync(join(dir, 'dlopen.py'), `open('${mark}','w')\n`)
      return ['./dlopen', './dlopen-plugin']
    },
    (seen, dir) => ({
      ...seen,
      mapped: [
        ...seen.mapped,
        { path: join(dir, 'dlopen-gdb.py'), start: '1000' },
        { path: join(dir, 'dlopen.py'), start: '2000' },
      ],
    }),
  )
  const { corelift, dir: home, cache } = laptop(t, crash)
  // As many people have it.
  writeFileSync(
    join(home, '.gdbinit'),
    'set auto-load safe-path /\nset auto-load python-scripts on\necho own init\\n\n',
  )
  const inGdb = await corelift(['debug', POD], {}, 'bt\ninfo auto-load\nquit\n')
  t.match(inGdb, { code: 0, stdout: /own init[^]*crash_in_callback/ })
  const tree = join(cache, 'sysroots', readdirSync(join(cache, 'sysroots'))[0]!, dir)
  t.ok(existsSync(join(tree, 'dlopen-gdb.py')), 'it is in the tree')
  t.notOk(existsSync(marks[0]!), 'and did not run')
  if (missing('lldb') === undefined)
    await corelift(
      ['debug', '--debugger', 'lldb', POD],
      {},
      'settings show target.load-script-from-symbol-file\nbt\nquit\n',
    )
  t.notOk(existsSync(marks[0]!))
  const control = ['-q', '-batch', '-iex', 'set auto-load safe-path /', join(tree, 'dlopen')]
  spawnSync('gdb', control, { stdio: 'ignore' })
  t.ok(existsSync(marks[0]!), 'gdb alone would run it')
  rmSync(marks[0]!, { force: true })
})

t.test('lldb shows the same functions', { skip: skip || (missing('lldb') ?? false) }, async t => {
  const { crash, seen } = await crashed(withPlugin)
  const { corelift, dir } = laptop(t, crash)
  mkdirSync(join(dir, 'bin'))
  symlinkSync(
    execFileSync('sh', ['-c', 'command -v lldb'], { encoding: 'utf8' }).trim(),
    join(dir, 'bin', 'lldb'),
  )
  const own = functions(seen.backtrace).filter(name => /plugin|crash|main/.test(name))
  t.equal(own.length, 4)
  const inLldb = (text: string) =>
    [...text.matchAll(/^ *\*? *frame #\d+: \S+ [^` ]+`(\w+)/gm)]
      .map(match => match[1]!)
      .filter(name => /^(plugin|crash|main)/.test(name))
  const bt = await corelift(['bt', POD], { PATH: join(dir, 'bin') })
  t.match(bt, { code: 0, stdout: /^\* thread #1/ })
  t.strictSame(inLldb(bt.stdout), own)
  const batch = await corelift([
    'debug',
    '--debugger',
    'lldb',
    '--batch',
    'bt all',
    '--batch',
    'image list',
    POD,
  ])
  t.equal(batch.code, 0)
  t.strictSame(inLldb(batch.stdout), own)
  t.equal([...batch.stdout.matchAll(/\/sysroots\/[^/]+\/.*lib/g)].length > 0, true)
})

const cpp = program('cpp-exception')
t.test(
  'C++: names, and values of std::string by this machine’s printers',
  { skip: skip || cpp.skip },
  async t => {
    const { crash, seen } = await crashed(dir => cpp.build(dir))
    const { corelift } = laptop(t, crash)
    const expected = functions(seen.backtrace)
    t.ok(expected.some(name => name.includes('fixture::Parser::fail<int>')))
    t.strictSame(functions((await corelift(['bt', POD])).stdout), expected)
    const hasPrinters = existsSync('/usr/share/gcc/python/libstdcxx')
    const printed = await corelift([
      'debug',
      POD,
      '--batch',
      'frame function fixture::Parser::parse',
      '--batch',
      'print text',
    ])
    t.match(printed.stdout, hasPrinters ? /\$1 = "seven"/ : /seven/)
  },
)

const python = program('python-threads')
t.test('Python: many libraries, from a cold cache in two seconds', { skip: skip || python.skip }, async t => {
  const { crash, seen } = await crashed(dir => python.build(dir))
  const { corelift, cache } = laptop(t, crash)
  const start = Date.now()
  const { code, stdout } = await corelift(['bt', POD])
  const took = Date.now() - start
  t.equal(code, 0)
  t.strictSame(functions(stdout), functions(seen.backtrace))
  t.ok(took <= COLD_MS_MAX, `${took} ms, ${crash.files.length} files`)
  const { stdout: shared } = await corelift(['debug', POD, '--batch', 'info sharedlibrary'])
  const paths = [...shared.matchAll(/(?:Yes|No)(?: \(\*\))? +(\/.*)$/gm)].map(match => match[1]!)
  t.ok(paths.length >= 4)
  for (const path of paths) t.ok(path.startsWith(`${cache}/sysroots/`), path)
})

const go = program('go-routines')
t.test(
  'Go opens in Delve, and in gdb when that is asked for',
  { skip: skip || go.skip || (missing('dlv') ?? false) },
  async t => {
    const { crash } = await crashed(dir => go.build(dir))
    const { corelift } = laptop(t, crash)
    const inDelve = await corelift(['debug', POD, '--batch', 'goroutines', '--batch', 'bt'])
    t.match(inDelve, { code: 0, stdout: /Goroutine 1 .*main\.crashHere/ })
    const inGdb = await corelift(['debug', POD, '--debugger', 'gdb', '--batch', 'bt'])
    t.match(inGdb, { code: 0, stdout: /main\.crashHere \(/ })
  },
)

t.test('the debugger’s own arguments follow --', { skip }, async t => {
  const { crash } = await crashed(withPlugin)
  const { corelift } = laptop(t, crash)
  const { code, stdout } = await corelift(['debug', POD, '--', '-batch', '-ex', 'print $_siginfo.si_signo'])
  t.match({ code, stdout }, { code: 0, stdout: /\$1 = 11/ })
})
