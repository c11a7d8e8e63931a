// Completion scripts, in each shell's own language.

import type { Command } from 'commander'
import { bashCompletion } from './completion-bash.ts'
import { completedCommand, type CompletedCommand, type Shell } from './completion.ts'
import { fishCompletion } from './completion-fish.ts'
import { zshCompletion } from './completion-zsh.ts'

const SCRIPTS: Readonly<Record<Shell, (program: CompletedCommand) => string>> = {
  bash: bashCompletion,
  zsh: zshCompletion,
  fish: fishCompletion,
}

export function completionScript(shell: Shell, program: Command): string {
  return SCRIPTS[shell](completedCommand(program))
}
