// `corelift config check | show | defaults`.

import { exampleFile } from '../config/example.ts'
import { CONFIG_KEYS } from '../config/keys.ts'
import { examineConfig, loadConfig, renderProblem } from '../config/load.ts'
import type { ConfigProblem } from '../config/load.ts'
import { SYSTEM_CONFIG_FILE } from '../config/settings.ts'
import type { ConfigSources } from '../config/settings.ts'
import type { ConfigKeyName } from '../config/table.ts'
import { escapeInvisible } from '../config/text.ts'
import { tomlValue } from '../config/values.ts'
import type { ConfigValue } from '../config/values.ts'
import { EXIT } from '../errors.ts'
import type { ExitCode } from '../errors.ts'

export interface ConfigCheck {
  readonly file: string
  readonly problems: readonly ConfigProblem[]
}

/**
 * Checks a file by itself, as the handler will read it: the kernel gives that no environment and no flags.
 * @param file - Default: the handler's.
 */
export function configCheck(file: string = SYSTEM_CONFIG_FILE): ConfigCheck {
  return { file, problems: examineConfig({ file, env: {}, required: ['store.url'] }).problems }
}

export function configCheckExit({ problems }: ConfigCheck): ExitCode {
  return problems.length === 0 ? EXIT.ok : EXIT.config
}

/** One problem a line. */
export function renderConfigCheck({ file, problems }: ConfigCheck): string {
  if (problems.length === 0) return `${escapeInvisible(file)}: no problems\n`
  return problems.map(problem => `${renderProblem(problem)}\n`).join('')
}

export interface ConfigShow {
  /** The file that was read, or null where there is none. */
  readonly file: string | null
  /** Effective values; sizes in bytes. */
  readonly keys: readonly ShownKey[]
}

export interface ShownKey {
  readonly key: ConfigKeyName
  /** null: not set. */
  readonly value: Exclude<ConfigValue, undefined> | null
  /** `default`, `FILE:LINE`, `environment VARIABLE`, `flag`. */
  readonly from: string
}

/**
 * The effective values, and where each comes from.
 * @throws CoreliftError `E_CONFIG`
 */
export function configShow(sources: ConfigSources): ConfigShow {
  const { config, origins, file } = loadConfig(sources)
  const values = config as unknown as Record<string, Record<string, ConfigValue>>
  const keys = CONFIG_KEYS.map(({ name, section, field }) => ({
    key: name,
    value: values[section]?.[field] ?? null,
    from: origins.get(name)!,
  }))
  return { file: file ?? null, keys }
}

/** TOML with dotted keys, the origin in a comment; keys that are not set as comments. */
export function renderConfigShow({ keys }: ConfigShow): string {
  const rows = keys.map(({ key, value, from }) => {
    const { definition } = CONFIG_KEYS.find(({ name }) => name === key)!
    return {
      assignment: value === null ? `# ${key} is not set` : `${key} = ${tomlValue(definition, value)}`,
      from,
    }
  })
  // Origins line up unless a long value would push them all away.
  const width = Math.min(60, Math.max(...rows.map(({ assignment }) => lastLine(assignment).length)))
  return rows
    .map(
      ({ assignment, from }) =>
        `${assignment}${' '.repeat(Math.max(0, width - lastLine(assignment).length))}  # ${from}\n`,
    )
    .join('')
}

/** Rules take a line each. */
function lastLine(text: string): string {
  return text.slice(text.lastIndexOf('\n') + 1)
}

/** A commented example file. */
export function configDefaults(): string {
  return exampleFile()
}
