// What shells can complete: the tree of commands, read from commander's. The scripts are made from this.

import type { Argument, Command, Option } from 'commander'

export const SHELLS = ['bash', 'zsh', 'fish'] as const
export type Shell = (typeof SHELLS)[number]

/** What stands behind an option, or for an argument. */
export type CompletedValue =
  | { readonly kind: 'file' | 'directory' | 'text'; readonly name: string }
  | { readonly kind: 'choice'; readonly name: string; readonly choices: readonly string[] }

export interface CompletedOption {
  /** `-n`, `--namespace`: one of them or both. */
  readonly names: readonly string[]
  readonly text: string
  /** undefined: the option takes none. */
  readonly value: CompletedValue | undefined
}

export interface CompletedCommand {
  /** `corelift config check`. */
  readonly path: string
  readonly name: string
  readonly text: string
  /** Its own; those of the program may stand everywhere. */
  readonly options: readonly CompletedOption[]
  readonly values: readonly CompletedValue[]
  readonly commands: readonly CompletedCommand[]
}

/** @returns The program: its options, --help among them, may stand before and after any command. */
export function completedCommand(program: Command): CompletedCommand {
  return completedBelow(program, '')
}

function completedBelow(command: Command, parentPath: string): CompletedCommand {
  const help = command.createHelp()
  const path = `${parentPath} ${command.name()}`.trimStart()
  const isOwn = (option: Option) => command.parent === null || option.long !== '--help'
  const commands = help.visibleCommands(command)
  const names = commands.map(each => each.name())
  return {
    path,
    name: command.name(),
    text: oneLine(help.subcommandDescription(command)),
    options: help.visibleOptions(command).filter(isOwn).map(completedOption),
    values: command.registeredArguments.map(completedValue),
    commands: commands.map(each => {
      const below = completedBelow(each, path)
      // commander's own, which takes the name of another.
      return each.name() === 'help' ? { ...below, values: [choice('command', names)] } : below
    }),
  }
}

/** @returns The command and all below it. */
export function everyCommand(command: CompletedCommand): CompletedCommand[] {
  return [command, ...command.commands.flatMap(everyCommand)]
}

/** A place in which a value is expected. */
export interface ValuePlace {
  /** Command's path; undefined: any. */
  readonly path: string | undefined
  /** An option, or an argument's number, from 0. */
  readonly word: string
}

/** For languages with a case statement: the places of each kind of value. */
export function valuePlaces(program: CompletedCommand): [value: CompletedValue, places: ValuePlace[]][] {
  const byValue = new Map<string, [CompletedValue, ValuePlace[]]>()
  const add = (value: CompletedValue, place: ValuePlace) => {
    const key = value.kind === 'choice' ? value.choices.join(' ') : value.kind
    byValue.set(key, [value, [...(byValue.get(key)?.[1] ?? []), place]])
  }
  for (const command of everyCommand(program)) {
    const path = command === program ? undefined : command.path
    for (const { names, value } of command.options) {
      if (value !== undefined) for (const word of names) add(value, { path, word })
    }
    command.values.forEach((value, index) => add(value, { path, word: String(index) }))
  }
  return [...byValue.values()]
}

function completedOption(option: Option): CompletedOption {
  const names = [option.short, option.long].filter(name => name !== undefined)
  const takesNone = !option.required && !option.optional
  return { names, text: oneLine(option.description), value: takesNone ? undefined : optionValue(option) }
}

function optionValue({ flags, argChoices }: Option): CompletedValue {
  return valueOf(/[<[]([^\]>]*)[\]>]$/.exec(flags)?.[1] ?? '', argChoices)
}

function completedValue(argument: Argument): CompletedValue {
  return valueOf(argument.name(), argument.argChoices)
}

/** The placeholder in the help says what is meant: `<file>`, `<ca-file>`, `<dir>`. */
function valueOf(name: string, choices: readonly string[] | undefined): CompletedValue {
  if (choices !== undefined) return choice(name, choices)
  const noun = name.split('-').at(-1)
  return { kind: noun === 'file' ? 'file' : noun === 'dir' ? 'directory' : 'text', name }
}

function choice(name: string, choices: readonly string[]): CompletedValue {
  return { kind: 'choice', name, choices }
}

/** The first sentence: a list of candidates has a line for each. */
function oneLine(text: string): string {
  const [first = ''] = text.replace(/ \(default: .*\)$/, '').split(/[.:;] /, 1)
  return first.replaceAll('`', '').replace(/\.$/, '')
}
