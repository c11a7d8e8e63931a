// What definitions of commands share: what they are given, and how their help ends.
import type { Command } from 'commander'
import { ERROR_CODES, type ErrorCode } from '../errors.ts'
import { renderExitCodes } from './render.ts'
import type { Session } from './session.ts'

/** Adds some commands to the program. */
export type Define = (program: Command, session: Session) => void

export const STORE_CODES = Object.keys(ERROR_CODES).filter(code => code.startsWith('E_STORE_')) as ErrorCode[]
/** Codes of every command that reads the store. */
export const COMMON_CODES: readonly ErrorCode[] = ['E_USAGE', 'E_CONFIG', 'E_MANIFEST', ...STORE_CODES]

/** What people name a crash by. */
export const TARGET = "a crash's id (or its beginning), or a pod: its newest crash"

export const NAMESPACE_OPTION = [
  '-n, --namespace <name>',
  'namespace of the pod; _host for host processes',
] as const

/** @returns The end of a help page: exit codes and examples. */
export function ending(codes: readonly ErrorCode[], ...examples: string[]): string {
  const lines = examples.map(example => `  $ ${example}\n`).join('')
  return `\n${renderExitCodes(codes)}\nExample${examples.length > 1 ? 's' : ''}:\n${lines}`
}
