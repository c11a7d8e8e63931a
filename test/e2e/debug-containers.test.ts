// From a pod's name to a backtrace on a machine that has nothing of the pod: its image is removed from the node, and what
// gdb shows then is what it shows where the files are.
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { startContainerd, whyNoContainerd } from '../lab/containerd.ts'
import { noKernelControl, underPattern } from '../lab/kernel.ts'
import { BINARY, compileFixture, makeNode, noBinary, run } from '../lab/node.ts'
import { Rootfs } from '../lab/rootfs.ts'
import { makeSpoolLab } from '../lab/spool-lab.ts'

const skip = noKernelControl() ?? noBinary() ?? whyNoContainerd() ?? noPrograms() ?? false

/** What is run in containers, or looks at what they leave. */
function noPrograms(): string | undefined {
  const missing = ['gdb', 'g++', '/usr/bin/python3'].filter(
    program => spawnSync(program, ['--version']).error !== undefined,
  )
  return missing.length > 0 ? `needs ${missing.join(', ')}` : undefined
}

interface Workload {
  readonly rootfs: Rootfs
  readonly command: readonly string[]
  /** Where gdb finds the executable in the root file system; the program's own path, where it is still there. */
  readonly executable: string
  /** Functions that its backtrace has to have, so that no two empty ones are the same. */
  readonly functions: readonly string[]
}

/** Programs as they come, each with its libraries and none of this machine's names for what is its own. */
function workloads(dir: string): Record<string, Workload> {
  const build = (name: string, ...flags: string[]): string => {
    const place = mkdtempSync(join(dir, 'build-'))
    return compileFixture(name, place, ...flags)
  }
  const plugin = join(dir, 'plugin.so')
  const sources = join(import.meta.dirname, '..', 'fixtures')
  execFileSync('gcc', ['-g', '-shared', '-fPIC', '-o', plugin, join(sources, 'dlopen-plugin.c')])
  const cpp = join(dir, 'cpp')
  execFileSync('g++', ['-g', '-o', cpp, join(sources, 'cpp-exception.cpp')])
  const server = (flag: string): Workload => ({
    rootfs: new Rootfs().addProgram(build('crasher', `-Dmiddle=${flag}`), '/app/server'),
    command: ['/app/server'],
    executable: '/app/server',
    functions: ['crash_here', flag, 'main'],
  })
  // Debian's, whatever else is first on the PATH.
  const [executable = '', library = '', extension = ''] = execFileSync(
    '/usr/bin/python3',
    [
      '-c',
      'import os, sys, _ctypes; print(os.path.realpath(sys.executable), os.path.dirname(os.__file__), _ctypes.__file__)',
    ],
    { encoding: 'utf8' },
  )
    .trim()
    .split(' ')
  const python = `/opt/py/bin/${basename(executable)}`
  return {
    'c-with-plugin': {
      rootfs: new Rootfs()
        .addProgram(build('dlopen', '-ldl'), '/app/dlopen')
        .addProgram(plugin, '/app/plugins/plugin.so')
        .addFile('/app/bin/keep', Buffer.alloc(0)),
      command: ['/app/dlopen', '/app/bin/../plugins/plugin.so'],
      executable: '/app/dlopen',
      functions: ['crash_in_callback', 'plugin_compare', 'plugin_sort_with', 'main'],
    },
    cpp: {
      rootfs: new Rootfs().addProgram(cpp, '/srv/cpp'),
      command: ['/srv/cpp'],
      executable: '/srv/cpp',
      functions: ['__GI_abort', 'fixture::read_all', 'main'],
    },
    python: {
      rootfs: new Rootfs()
        .addProgram(executable, python)
        .addProgram(extension, '/unused/_ctypes.so')
        .addTree(
          library,
          `/opt/py/lib/${basename(library)}`,
          /__pycache__|\/(?:test|dist-packages|idlelib|ensurepip|config-3)/,
        ),
      command: [python, '-c', 'import ctypes, zlib, array; ctypes.string_at(0)'],
      executable: python,
      functions: ['_PyEval_EvalFrameDefault'],
    },
    node: {
      rootfs: new Rootfs().addProgram(process.execPath, '/opt/node'),
      command: ['/opt/node', '-e', 'process.abort()'],
      executable: '/opt/node',
      functions: ['node::Abort('],
    },
    deleted: {
      rootfs: new Rootfs().addProgram(build('crasher'), '/app/gone'),
      command: ['/app/gone', '--unlink', '/app/gone'],
      executable: '/app/gone',
      functions: ['crash_here', 'middle', 'main'],
    },
    'same-path-1': server('first_server'),
    'same-path-2': server('second_server'),
  }
}

/** Functions of every thread's frames, in gdb's words; without the frame that it shows of itself, before all threads. */
function functionsIn(output: string): string[] {
  const threads = output.slice(Math.max(0, output.search(/^Thread /m)))
  return [...threads.matchAll(/^#\d+ +(?:0x[0-9a-f]+ in )?(.+?) \(/gm)].map(([, name]) => name!)
}

/** What gdb shows where all files are. */
function gdbWithFiles(root: string, executable: string, core: string): string {
  const settings = ['-iex', 'set debuginfod enabled off', '-iex', `set sysroot ${root}`]
  return execFileSync(
    'gdb',
    ['-nx', '-batch', ...settings, '-ex', 'thread apply all -ascending bt', join(root, executable), core],
    { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], maxBuffer: 64 << 20 },
  )
}

t.test('from a pod’s name to its backtrace, with pod and image gone', { skip }, async t => {
  const dir = mkdtempSync(join(tmpdir(), 'corelift-debug-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  const containerd = await startContainerd(t)
  const { stateDir, socketPath } = containerd
  const node = makeNode(
    `[workload]\ncontainerd_state_dir = "${stateDir}"\ncontainerd_socket = "${socketPath}"\ntimeout_ms = 30000\n[binaries]`,
  )
  t.teardown(() => node.remove())
  const all = Object.entries(workloads(dir))
  const expected = new Map<string, string[]>()
  for (const [name, { rootfs, command, executable }] of all) {
    const image = `docker.io/library/${name}:1`
    await containerd.importImage(await rootfs.image(image))
    const pod = await underPattern(node.pattern, async () => {
      const pod = await containerd.runPod({ namespace: 'shop', pod: name, container: 'app', image, command })
      await pod.waitExit()
      return pod
    })
    await node.waitForManifests(expected.size + 1)
    await node.waitForHandlers()
    const [root, core] = [join(dir, `root-${name}`), join(dir, `core-${name}`)]
    rootfs.writeTo(root)
    t.match(await node.cli('get', name, '--full', '-o', core), { code: 0 }, name)
    expected.set(name, functionsIn(gdbWithFiles(root, executable, core)))
    rmSync(root, { recursive: true })
    rmSync(core)
    await pod.remove()
    await containerd.removeImage(image)
  }

  const empty = join(dir, 'laptop')
  mkdirSync(empty)
  const env = { PATH: process.env['PATH'], HOME: empty, CORELIFT_STORE_URL: `file://${node.storeDir}` }
  for (const [name, { functions }] of all) {
    await t.test(name, async t => {
      const wanted = expected.get(name)!
      for (const each of functions)
        t.ok(
          wanted.some(one => one.startsWith(each)),
          `${each} is in the full core’s`,
        )
      const bt = await run(BINARY, ['bt', name, '-n', 'shop'], undefined, env)
      t.equal(bt.code, 0, bt.stderr)
      t.strictSame(functionsIn(bt.stdout), wanted)
      const mini = await run(
        BINARY,
        ['debug', name, '-n', 'shop', '--mini', '--batch', 'thread apply all -ascending bt'],
        undefined,
        env,
      )
      t.equal(mini.code, 0, mini.stderr)
      t.strictSame(functionsIn(mini.stdout), wanted)
    })
  }
  t.same(readdirSync(empty), ['.cache'], 'nothing but the cache was written')
})

t.test('a handler that still sends files keeps no pod from its end', { skip }, async t => {
  const containerd = await startContainerd(t)
  const { stateDir, socketPath } = containerd
  const workload = `[workload]\ncontainerd_state_dir = "${stateDir}"\ncontainerd_socket = "${socketPath}"\ntimeout_ms = 30000\n`
  const lab = await makeSpoolLab(t, `${workload}[binaries]\nseconds_max = 10`)
  lab.proxy.set({ match: /buildid/, fault: { kind: 'hang', afterBytes: 0 } })
  const rootfs = new Rootfs().addProgram(compileFixture('crasher', lab.node.dir), '/app/server')
  const image = 'docker.io/library/held:1'
  await containerd.importImage(await rootfs.image(image))
  const pod = await underPattern(lab.node.pattern, async () => {
    const pod = await containerd.runPod({
      ...{ namespace: 'shop', pod: 'held', container: 'app', image },
      command: ['/app/server'],
    })
    await pod.waitExit()
    return pod
  })
  for (let tries = 0; (await lab.manifests()).length === 0 && tries < 100; tries++) await sleep(50)
  t.ok(lab.node.hasHandlers(), 'a handler is at work')
  await pod.remove()
  await containerd.removeImage(image)
  t.ok(lab.node.hasHandlers(), 'still')
  await lab.node.waitForHandlers()
})
