// The whole program as commander has it, built but not run: the command line parses with it, completion and the manual
// pages are made from it. Nothing of the kernel's entry loads this.

import { Command, type OutputConfiguration } from 'commander'
import { CONFIG_TABLE } from '../config/table.ts'
import type { Define } from './define.ts'
import { defineBucket } from './define-bucket.ts'
import { defineCompletion } from './define-completion.ts'
import { defineConfig } from './define-config.ts'
import { defineDebug } from './define-debug.ts'
import { defineDoctor } from './define-doctor.ts'
import { defineInstall } from './define-install.ts'
import { defineNode } from './define-node.ts'
import { definePeople } from './define-people.ts'
import { defineServe } from './define-serve.ts'
import { defineShare } from './define-share.ts'
import { STORE_KEYS, type Session } from './session.ts'

/** Heading of commands that need root on a node. */
export const NODE_GROUP = 'On a node, as root:'

/** Commands by the heading that they have in the program's help. */
const GROUPS: readonly { heading: string; defines: readonly Define[] }[] = [
  { heading: 'Crashes:', defines: [definePeople, defineDebug, defineShare, defineServe] },
  { heading: NODE_GROUP, defines: [defineInstall, defineNode, defineDoctor] },
  { heading: 'Set-up:', defines: [defineBucket, defineConfig, defineCompletion] },
]

/**
 * @param session - What the commands' actions work on.
 * @param output - Where help and complaints go.
 * @returns Every command with what it takes, its help and its action. Parsing throws `CommanderError` and never exits.
 */
export function buildProgram(session: Session, output: OutputConfiguration = {}): Command {
  const program = new Command('corelift')
    .description('Crash dumps off the node and into object storage, by pod name.')
    .version(session.deps.version)
    .exitOverride()
    .configureHelp({ showGlobalOptions: true })
    .configureOutput(output)
    .addHelpText('after', '\nEach command explains itself, its exit codes too: corelift ls --help')
  addGlobalOptions(program)
  for (const { heading, defines } of GROUPS) {
    program.commandsGroup(heading)
    for (const define of defines) define(program, session)
  }
  return program
}

function addGlobalOptions(program: Command): void {
  program.option('--config <file>', 'configuration file (default: ~/.config/corelift, /etc/corelift)')
  for (const key of STORE_KEYS) {
    const { type, text } = CONFIG_TABLE.store[key]
    const flag = `--store-${key.replaceAll('_', '-')}`
    program.option(type === 'boolean' ? flag : `${flag} <${key.replaceAll('_', '-')}>`, text)
  }
  program.option('--json', 'results and errors as JSON').option('--no-color', 'no colours, as with NO_COLOR')
}
