// Helpers of this machine that gdb would load for the same files at their usual places, which those of a sysroot are not at:
// CPython's py-bt, and printers for libstdc++'s types. Never a file of the container.
import { readdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { SysrootPlan } from './sysroot-plan.ts'

/** Where distributions put what belongs to an interpreter: Debian's python3-dbg, Fedora's and SUSE's debuginfo. */
const HELPER_PLACES = ['usr/share/gdb/auto-load', 'usr/lib/debug'].flatMap(place =>
  [
    'usr/bin',
    'usr/local/bin',
    'usr/lib',
    'usr/lib64',
    'usr/local/lib',
    'usr/lib/x86_64-linux-gnu',
    'usr/lib/aarch64-linux-gnu',
  ].map(directory => join(place, directory)),
)
const PYTHON = /^(?:lib)?python(3\.\d{1,2})(?:d|\.so\.1\.0)?$/
const PYTHON_HELPER = /^(?:lib)?python(3\.\d{1,2})(?:d|-dbg)?(?:\.so\.1\.0)?-gdb\.py$/
const LIBSTDCXX = /^libstdc\+\+\.so\.6(?:\.\d+)*$/
/** `/usr/share/gcc/python` (Debian), `/usr/share/gcc-13/python` (Fedora). */
const GCC_DIRECTORY = /^gcc(?:-\d{1,3})?$/

export interface GdbScripts {
  /** gdb's, to be run before the user's. */
  readonly commands: readonly string[]
  /** The version of the program that is Python, such as `3.11`. */
  readonly python: string | undefined
  /** What py-bt comes from. */
  readonly pythonHelper: string | undefined
}

/** @param root - Of this machine's file system. */
export async function gdbScripts(
  plan: Pick<SysrootPlan, 'files' | 'links'>,
  root = '/',
): Promise<GdbScripts> {
  const names = [...plan.files, ...plan.links].map(({ path }) => basename(path))
  const python = names.map(name => PYTHON.exec(name)?.[1]).find(version => version !== undefined)
  const pythonHelper = python === undefined ? undefined : await findHelper(root, python)
  const printers = names.some(name => LIBSTDCXX.test(name)) ? await findPrinters(root) : undefined
  const commands = [
    ...(pythonHelper === undefined ? [] : [`source ${pythonHelper}`]),
    ...(printers === undefined ? [] : [registerPrinters(printers)]),
  ]
  return { commands, python, pythonHelper }
}

async function findHelper(root: string, python: string): Promise<string | undefined> {
  const listed = await Promise.all(HELPER_PLACES.map(place => filesIn(join(root, place))))
  return listed.flat().find(path => PYTHON_HELPER.exec(basename(path))?.[1] === python)
}

async function findPrinters(root: string): Promise<string | undefined> {
  const share = await filesIn(join(root, 'usr/share'))
  const directories = share.filter(path => GCC_DIRECTORY.test(basename(path)))
  for (const directory of directories.toReversed()) {
    const python = join(directory, 'python')
    if ((await filesIn(join(python, 'libstdcxx'))).length > 0) return python
  }
  return undefined
}

/** gdb refuses them a second time, which a user's own gdbinit may have been the first of. */
function registerPrinters(directory: string): string {
  return [
    `python import gdb, sys`,
    `sys.path.insert(0, ${JSON.stringify(directory)})`,
    'from libstdcxx.v6 import register_libstdcxx_printers as register',
    "any(getattr(each, 'name', '') == 'libstdc++-v6' for each in gdb.pretty_printers) or register(None)",
  ].join('; ')
}

async function filesIn(directory: string): Promise<string[]> {
  const names = await readdir(directory).catch(() => [])
  return names.toSorted().map(name => join(directory, name))
}
