// All pages of the manual: nothing in them is written twice. Commands come from their definitions, keys from their table, and
// what exit codes mean in general from docs/errors.md, whose table a test keeps complete.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import { buildProgram } from '../../src/commands/program.ts'
import type { Session } from '../../src/commands/session.ts'
import { commandPage, commandsBelow, programPage, type EndOf } from './command-pages.ts'
import { configPage } from './config-page.ts'
import { parseHelpEnd, type ExitLine } from './help-end.ts'
import type { Page, Release } from './roff.ts'

/** Variables that no configuration key stands for. */
const ENVIRONMENT = {
  CORELIFT_STORE_URL: 'In place of `--store-url`; every key of the configuration has such a variable.',
  CORELIFT_CACHE_BYTES_MAX: 'How much `corelift debug` and `bt` keep on this machine, as "20GiB".',
  AWS_PROFILE: 'This and the other usual variables of AWS, where `store.credentials_file` is not set.',
  NO_COLOR: 'No colours, as with `--no-color`.',
} as const

/**
 * The commands, to be read and not run.
 * @param help - Takes what help pages say.
 */
export function unrunProgram(version: string, help: (text: string) => void = () => undefined): Command {
  // Of a session only the version is looked at before a command runs, and none does.
  return buildProgram({ deps: { version } } as Session, { writeOut: help })
}

export function manualPages(release: Release): Page[] {
  let help = ''
  const program = unrunProgram(release.version, text => void (help += text))
  const endOf: EndOf = command => {
    help = ''
    command.outputHelp()
    return parseHelpEnd(help.slice(command.helpInformation().length))
  }
  return [
    programPage(program, exitCodes(), ENVIRONMENT, release),
    ...commandsBelow(program).map(command => commandPage(command, endOf, release)),
    configPage(release),
  ]
}

function exitCodes(): ExitLine[] {
  const paper = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'errors.md'), 'utf8')
  return [...paper.matchAll(/^\| (\d+) \| (.*) \|$/gm)].map(([, code = '', meaning = '']) => ({
    code,
    error: '',
    meaning,
  }))
}
