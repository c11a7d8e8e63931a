// What an installation found and what it left, kept on the node: uninstall puts the one back, doctor and sweeps compare the
// other with what is there now. Handlers read the former core_pattern here where host processes are chained to it.
import { readFileSync } from 'node:fs'
import path from 'node:path'
import * as v from 'valibot'
import { CoreliftError } from '../errors.ts'
import { INSTALL_FILE } from './layout.ts'

/** What was at a path. */
const pathSchema = v.variant('kind', [
  v.object({ kind: v.literal('absent') }),
  v.object({ kind: v.literal('link'), target: v.string() }),
  v.object({
    kind: v.literal('file'),
    /** Permission bits. */
    mode: v.number(),
    uid: v.number(),
    gid: v.number(),
    contentBase64: v.string(),
  }),
])

const sysctls = v.record(v.string(), v.string())

const stateSchema = v.object({
  format: v.literal(1),
  /** Version of the binary that installed last, and when (ISO 8601). */
  version: v.string(),
  time: v.string(),
  /** The binary that core_pattern names. */
  binary: v.string(),
  /** undefined: the binary is a package's, in its own place. */
  prefix: v.optional(v.string()),
  /** As it was before corelift came. */
  before: v.object({
    /** By name (`kernel.core_pattern`), without a newline. */
    sysctls,
    /** By path: whatever an installation wrote to, directories that it made too. */
    paths: v.record(v.string(), pathSchema),
    /** Directories that were not there, parents first. */
    madeDirectories: v.array(v.string()),
    /** Units that were stopped. */
    activeUnits: v.array(v.string()),
  }),
  /** As it was left. */
  installed: v.object({
    sysctls,
    /** By path: sha256 of a file in hex, or `link:TARGET`. */
    paths: v.record(v.string(), v.string()),
  }),
})

export type FormerPath = v.InferOutput<typeof pathSchema>
export type InstallState = v.InferOutput<typeof stateSchema>

/**
 * @param root - Directory that stands for `/`.
 * @returns undefined where corelift is not installed.
 * @throws CoreliftError `E_INSTALL` when the file cannot be read or is none of corelift's.
 */
export function readInstallState(root = '/'): InstallState | undefined {
  const file = path.join(root, INSTALL_FILE)
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    const hint = code === 'EACCES' ? 'only root may read it' : undefined
    throw new CoreliftError('E_INSTALL', `cannot read ${file}: ${code}`, {
      ...(hint && { hint }),
      cause: error,
    })
  }
  try {
    return v.parse(stateSchema, JSON.parse(text))
  } catch (error) {
    throw new CoreliftError('E_INSTALL', `${file} is not what an installation writes`, {
      hint: 'it was changed or damaged: restore it from a backup, or remove it, what was there before corelift then being forgotten, and install again',
      cause: error,
    })
  }
}

export function encodeInstallState(state: InstallState): string {
  return `${JSON.stringify(state, null, 2)}\n`
}
