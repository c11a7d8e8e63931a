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

/** Options of commands that write a crash's core into a file. */
export function fileOptions(command: Command, defaultFile: string): Command {
  return command
    .option(...NAMESPACE_OPTION)
    .option('-o, --output <file>', `file to write, - for stdout (default: ${defaultFile})`)
    .option('--force', 'overwrite a file that exists')
    .option('--full', 'the full core, or the trimmed one, and nothing less')
    .option('--mini', 'the mini core: a megabyte with every stack')
}

/** @returns The end of a help page: exit codes and examples. */
export function ending(codes: readonly ErrorCode[], ...examples: string[]): string {
  const lines = examples.map(example => `  $ ${example}\n`).join('')
  return `\n${renderExitCodes(codes)}\nExample${examples.length > 1 ? 's' : ''}:\n${lines}`
}
