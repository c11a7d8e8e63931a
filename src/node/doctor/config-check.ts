// Whether the handler can use its configuration, and only root can change it.
import { statSync } from 'node:fs'
import { renderProblem } from '../../config/load.ts'
import { type Check, counted, fail, ok, warn } from './check.ts'
import { ownerOf } from './examined-node.ts'

export const configCheck: Check = {
  id: 'config',
  group: 'installation',
  why: 'a handler that cannot use its configuration loses the crash; who can change it decides where memory goes',
  fix: 'corelift config check',
  needsRoot: false,
  examine(node) {
    const { configFile, configProblems, config } = node
    const [first] = configProblems
    if (first !== undefined) {
      const more = configProblems.length > 1 ? ` (${counted(configProblems.length, 'problem')} in all)` : ''
      return fail(`${renderProblem(first)}${more}`, `corelift config check ${configFile}`)
    }
    const writable = [configFile, config.store.credentialsFile].flatMap(file =>
      file !== undefined && isOthers(file, 0o022) ? [file] : [],
    )
    if (writable.length > 0)
      return fail(
        `${writable.join(' and ')} can be changed by others than root`,
        `chown root:root ${writable.join(' ')}; chmod go-w ${writable.join(' ')}`,
      )
    const { credentialsFile } = config.store
    if (credentialsFile !== undefined && isOthers(credentialsFile, 0o044))
      return warn(`${credentialsFile} can be read by others than root`, `chmod 0600 ${credentialsFile}`)
    const owner = ownerOf(node)
    const handlers = owner?.kind === 'corelift' ? owner.configFile : undefined
    return handlers === undefined || handlers === configFile
      ? ok(configFile)
      : warn(
          `${configFile} is in order, but kernel.core_pattern names ${handlers}`,
          `corelift config check ${handlers}`,
        )
  },
}

/** @param bits - Of the mode, that others ought not to have. */
function isOthers(file: string, bits: number): boolean {
  const found = statSync(file, { throwIfNoEntry: false })
  return found !== undefined && (found.uid !== 0 || (found.mode & bits) !== 0)
}
