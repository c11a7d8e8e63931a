// Helpers of this machine that gdb would load for the same files at their usual places, which those of a sysroot are not at:
// CPython's py-bt, and printers for libstdc++'s types. Never a file of the container.
import { readdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { SysrootPlan } from './sysroot-plan.ts'

/** Where distributions put them: Debian's python3-dbg, Fedora's and SUSE's debuginfo. */
const PLACES = ['usr/share/gdb/auto-load', 'usr/lib/debug']
const DIRECTORIES = [
  'usr/bin',
  'usr/local/bin',
  'usr/lib',
  'usr/lib64',
  'usr/local/lib',
  'usr/lib/x86_64-linux-gnu',
  'usr/lib/aarch64-linux-gnu',
]
const PYTHON = /^(?:lib)?python(3\.\d{1,2})(?:d|\.so\.1\.0)?$/
const LIBSTDCXX = /^libstdc\+\+\.so\.6(?:\.\d+)*$/

export interface GdbScripts {
  readonly found: readonly string[]
  /** The version of the program that is Python, such as `3.11`. */
  readonly python: string | undefined
  readonly hasPythonHelper: boolean
}

/** @param root - Of this machine's file system. */
export async function gdbScripts(
  plan: Pick<SysrootPlan, 'files' | 'links'>,
  root = '/',
): Promise<GdbScripts> {
  const names = [...plan.files, ...plan.links].map(({ path }) => basename(path))
  const python = names.map(name => PYTHON.exec(name)?.[1]).find(version => version !== undefined)
  const usesLibstdcxx = names.some(name => LIBSTDCXX.test(name))
  const installed = python === undefined && !usesLibstdcxx ? [] : await scriptsOf(root)
  const helper = installed.find(path => {
    const name = basename(path)
    return python !== undefined && PYTHON_SCRIPT.exec(name)?.[1] === python
  })
  const printers = usesLibstdcxx
    ? installed.findLast(path => /^libstdc\+\+\.so\.6.*-gdb\.py$/.test(basename(path)))
    : undefined
  return {
    found: [helper, printers].filter(path => path !== undefined),
    python,
    hasPythonHelper: helper !== undefined,
  }
}

const PYTHON_SCRIPT = /^(?:lib)?python(3\.\d{1,2})(?:d|-dbg)?(?:\.so\.1\.0)?-gdb\.py$/

async function scriptsOf(root: string): Promise<string[]> {
  const directories = PLACES.flatMap(place => DIRECTORIES.map(each => join(root, place, each)))
  const listed = await Promise.all(
    directories.map(async directory => {
      const names = await readdir(directory).catch(() => [])
      return names.toSorted().map(name => join(directory, name))
    }),
  )
  return listed.flat()
}
