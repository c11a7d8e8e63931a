// What `corelift completion` does.
import type { Command } from 'commander'
import { type Shell } from './completion.ts'
import { completionScript } from './completion-script.ts'
import type { Session } from './session.ts'
import { write } from './terminal.ts'

export async function runCompletion(session: Session, shell: Shell, program: Command): Promise<void> {
  await write(session.io.stdout, completionScript(shell, program))
}
