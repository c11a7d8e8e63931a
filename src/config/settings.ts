// Collects what flags, environment and file say, each value with its place; whether it is allowed is not decided here.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse, TomlError } from 'smol-toml'
import { CONFIG_KEYS } from './keys.ts'
import { lineFinder } from './lines.ts'
import { CONFIG_TABLE } from './table.ts'
import type { ConfigKeyName } from './table.ts'
import { escapeInvisible, isTable, quoteKey } from './text.ts'
import { rawFromText } from './values.ts'

/** Where the handler looks when it is not told, and people last. */
export const SYSTEM_CONFIG_FILE = '/etc/corelift/config.toml'

export interface ConfigSources {
  /** Must exist. */
  readonly file?: string | undefined
  /** Where to look when no file is named: the first that exists, or none. Default: `configFiles(env)`. */
  readonly searched?: readonly string[]
  /** Variables such as CORELIFT_STORE_URL; an empty one counts as unset. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** Values as text, as a command line has them. */
  readonly flags?: Readonly<Partial<Record<ConfigKeyName, string | undefined>>>
  /** Keys that must have a value. */
  readonly required?: readonly ConfigKeyName[]
}

/** A value on its way, with the place where it stands. */
export interface Setting extends Place {
  readonly raw: unknown
  /** Where a part of the value stands, by indices (from 0) and keys; the nearest that is known. */
  readonly placeIn: (...path: readonly (string | number)[]) => Place
}
export interface Place {
  readonly where: string
  readonly line?: number
  readonly source: Source
}
/** Later ones prevail. */
export const SOURCES = ['default', 'file', 'environment', 'flag'] as const
type Source = (typeof SOURCES)[number]

/** What the sources say. */
export interface Gathered {
  /** The file that was read, or should have been. */
  readonly file: string | undefined
  /** By key as it stands there: `budget.slots`, and whatever else somebody wrote. */
  readonly settings: Map<string, Setting>
  /** Why the file's settings are missing. */
  readonly fileProblem?: { readonly where: string; readonly line?: number; readonly text: string }
}

/** Reads the file, then lets environment and flags prevail over it. */
export function gatherSettings(sources: ConfigSources): Gathered {
  const gathered = readSettings(sources)
  for (const [name, setting] of textSettings(sources)) gathered.settings.set(name, setting)
  return gathered
}

/** Where people's configuration may be, most personal first (XDG Base Directory Specification). */
export function configFiles(env: ConfigSources['env']): string[] {
  const { XDG_CONFIG_HOME, HOME } = env
  const personal = [XDG_CONFIG_HOME, HOME && join(HOME, '.config')]
  const directories = personal.filter(directory => directory?.startsWith('/')) as string[]
  return [
    ...new Set(directories.map(directory => join(directory, 'corelift/config.toml'))),
    SYSTEM_CONFIG_FILE,
  ]
}

function readSettings(sources: ConfigSources): Gathered {
  const found = findFile(sources)
  const settings: Gathered['settings'] = new Map()
  if (found === undefined) return { file: undefined, settings }
  const { file, text } = found
  const where = escapeInvisible(file)
  if (text === undefined)
    return { file, settings, fileProblem: { where, text: `cannot be read: ${found.reason}` } }
  try {
    return { file, settings: fileSettings(where, text) }
  } catch (error) {
    if (!(error instanceof TomlError)) throw error
    const { line, column } = error
    const [reason = ''] = error.message.replace('Invalid TOML document: ', '').split('\n')
    return {
      file,
      settings,
      fileProblem: { where: `${where}:${line}:${column}`, line, text: `is not TOML: ${reason}` },
    }
  }
}

type FoundFile =
  | { readonly file: string; readonly text: string }
  | { readonly file: string; readonly text: undefined; readonly reason: string }

/** The named file, or the first that exists of those searched. */
function findFile({ file, searched, env }: ConfigSources): FoundFile | undefined {
  for (const path of file === undefined ? (searched ?? configFiles(env)) : [file]) {
    try {
      return { file: path, text: readFileSync(path, 'utf8') }
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? String(error)
      const absent = code === 'ENOENT' || code === 'ENOTDIR'
      if (file === undefined && absent) continue
      return { file: path, text: undefined, reason: absent ? 'no such file' : code }
    }
  }
  return undefined
}

function fileSettings(file: string, text: string): Gathered['settings'] {
  const settings: Gathered['settings'] = new Map()
  const lineOf = lineFinder(text)
  const placeOf = (...path: readonly (string | number)[]): Place => {
    const line = lineOf(...path)
    return { where: `${file}:${line}`, line, source: 'file' }
  }
  const add = (name: string, raw: unknown, ...path: string[]) =>
    settings.set(name, { raw, ...placeOf(...path), placeIn: (...rest) => placeOf(...path, ...rest) })
  for (const [section, content] of Object.entries(parse(text))) {
    if (!Object.hasOwn(CONFIG_TABLE, section) || !isTable(content)) add(quoteKey(section), content, section)
    else
      for (const [key, raw] of Object.entries(content)) add(`${section}.${quoteKey(key)}`, raw, section, key)
  }
  return settings
}

/** Variables that name no key are left alone: Kubernetes sets CORELIFT_SERVICE_HOST for a service of that name. */
function* textSettings({ env, flags }: ConfigSources): Generator<[string, Setting]> {
  for (const { name, variable, definition } of CONFIG_KEYS) {
    const [flag, variableText] = [flags?.[name], env[variable]]
    const text = flag ?? variableText
    if (flag === undefined && !variableText) continue
    const place: Place =
      flag === undefined
        ? { where: `environment ${variable}`, source: 'environment' }
        : { where: 'flag', source: 'flag' }
    yield [name, { raw: rawFromText(definition, text!), ...place, placeIn: () => place }]
  }
}
