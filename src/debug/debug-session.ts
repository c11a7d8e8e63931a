// What a debugger is started on, and how a debugger is told: its arguments, in the words of each.
import type { Env } from './programs.ts'

/** Paths are absolute. */
export interface DebugSession {
  readonly core: string
  /** undefined: it is not to be had. */
  readonly executable: string | undefined
  readonly sysroot: string
  /** Where libraries of relative names lie. */
  readonly searchPaths: readonly string[]
}

export interface DebugMode {
  /** Commands to run before it ends; undefined: somebody sits at the terminal. */
  readonly batch: readonly string[] | undefined
  /** Commands of ours, before anybody else's. */
  readonly setup: readonly string[]
  /** The user's own arguments. */
  readonly args: readonly string[]
}

/**
 * A debugger's environment: with the user's own, but that no debuginfod is asked. Whether a build-id may be told to a server
 * is for people to decide, and a server that does not answer would hold every library up.
 */
export function debuggerEnv(env: Env): Env {
  const { DEBUGINFOD_URLS: _, ...others } = env
  return others
}
