// A page for the program, and one for each of its commands, from commander's definitions. Commands that need root are in
// section 8, as man(1) has it ("system administration commands, usually only for root"); `man corelift-sweep` finds them all
// the same. Commands below a command share its page.

import type { Argument, Command, Option } from 'commander'
import { NODE_GROUP } from '../../src/commands/program.ts'
import type { ExitLine, HelpEnd } from './help-end.ts'
import {
  bold,
  italic,
  page,
  paragraphs,
  prose,
  section,
  subsection,
  tagged,
  usage,
  verbatim,
  type Page,
  type Release,
} from './roff.ts'

/** Says how a command's help ends. */
export type EndOf = (command: Command) => HelpEnd

const isRoots = (command: Command): boolean => command.helpGroup() === NODE_GROUP
const sectionOf = (command: Command): 1 | 8 => (isRoots(command) ? 8 : 1)
const nameOf = (command: Command): string => `corelift-${command.name()}`
const reference = (name: string, number: number): string => `${bold(name)}(${number})`
const PROGRAM = reference('corelift', 1)
const CONFIG_FILE = reference('corelift-config.toml', 5)

/** Those below a command; commander's own `help` is none. */
export function commandsBelow(command: Command): Command[] {
  return command
    .createHelp()
    .visibleCommands(command)
    .filter(each => each.name() !== 'help')
}

/**
 * @param exits - Of all commands.
 * @param environment - Variables that no option and no configuration key stands for.
 */
export function programPage(
  program: Command,
  exits: readonly ExitLine[],
  environment: Readonly<Record<string, string>>,
  release: Release,
): Page {
  const commands = commandsBelow(program)
  const groups = [...new Set(commands.map(command => command.helpGroup()))]
  return page('corelift', 1, 'crash dumps of Kubernetes nodes in object storage', release, [
    ...section('SYNOPSIS', ...synopsis('corelift', '[options] <command>')),
    ...section('DESCRIPTION', ...paragraphs(ABOUT)),
    ...section('COMMANDS'),
    ...groups.flatMap(group =>
      subsection(
        group.replace(/:$/, ''),
        ...commands.filter(command => command.helpGroup() === group).flatMap(listed),
      ),
    ),
    ...section('OPTIONS', ...paragraphs('They may stand before and after any command.')),
    ...optionsOf(program),
    ...section('EXIT STATUS', ...exits.flatMap(exitLine)),
    ...section('ENVIRONMENT'),
    ...Object.entries(environment).flatMap(([name, text]) => tagged(bold(name), text)),
    ...section('FILES', ...FILES.flatMap(([file, text]) => tagged(italic(file), text))),
    ...section('SEE ALSO', '.PP', [...commands.map(pageOf), CONFIG_FILE, reference('core', 5)].join(',\n')),
  ])
}

/** The page of a command and of those below it. */
export function commandPage(command: Command, endOf: EndOf, release: Release): Page {
  const below = commandsBelow(command)
  const callable = below.length === 0 ? [command] : below
  const ends = [command, ...below].map(endOf)
  const notes = [...new Set(ends.map(end => end.notes))].filter(text => text !== '')
  const examples = [...new Set(ends.flatMap(end => end.examples))]
  return page(nameOf(command), sectionOf(command), summaryOf(command), release, [
    ...section('SYNOPSIS', ...callable.flatMap(each => synopsis(pathOf(each), each.usage()))),
    ...section('DESCRIPTION', ...paragraphs(command.description() || sentence(summaryOf(command)))),
    ...below.flatMap(each => subsection(bold(pathOf(each)), ...described(each))),
    ...section('OPTIONS', ...argumentsOf(command), ...optionsOf(command)),
    '.PP',
    `Those that every command takes are in ${PROGRAM}.`,
    ...section('EXIT STATUS', ...ends[0]!.exits.flatMap(exitLine), ...notes.flatMap(paragraphs)),
    ...section('EXAMPLES', ...verbatim(examples)),
    ...section('SEE ALSO', '.PP', `${PROGRAM},`, CONFIG_FILE),
  ])
}

const ABOUT =
  'The kernel starts corelift when a process crashes (`kernel.core_pattern`). It finds out which pod and container the ' +
  "process belonged to, and streams the core, compressed, into object storage, without writing to the node's root disk. " +
  'The same program is the command line with which people list, inspect and fetch crashes by pod name, also when the pod ' +
  'and the node are gone. For that it needs read access to the bucket, and nothing of the cluster.'

const FILES = [
  [
    '/etc/corelift/config.toml',
    "The configuration of a node's handler, and of everybody who has none of their own.",
  ],
  ['~/.config/corelift/config.toml', "A person's configuration, below `$XDG_CONFIG_HOME` where that is set."],
] as const

function summaryOf(command: Command): string {
  return command.createHelp().subcommandDescription(command)
}

const sentence = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`

function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`
}

const pageOf = (command: Command): string => reference(nameOf(command), sectionOf(command))

function listed(command: Command): string[] {
  return ['.TP', pageOf(command), prose(summaryOf(command))]
}

/** @param takes - `[options] <id|pod>` */
function synopsis(command: string, takes: string): string[] {
  return ['.PP', `${bold(command)} ${usage(takes)}`]
}

function described(command: Command): string[] {
  return [...paragraphs(command.description()), ...argumentsOf(command), ...optionsOf(command, '--help')]
}

function argumentsOf(command: Command): string[] {
  const help = command.createHelp()
  const describe = (argument: Argument) => tagged(italic(argument.name()), help.argumentDescription(argument))
  return help.visibleArguments(command).flatMap(describe)
}

/** @param left - Long name of an option that is said elsewhere. */
function optionsOf(command: Command, left?: string): string[] {
  const help = command.createHelp()
  const describe = (option: Option) => tagged(flagsOf(option), help.optionDescription(option))
  return help
    .visibleOptions(command)
    .filter(option => option.long !== left)
    .flatMap(describe)
}

/** `-n, --namespace <name>`: what is typed in bold. */
function flagsOf({ flags }: Option): string {
  return flags
    .split(/([<[][^>\]]*[>\]])/)
    .map((part, index) => (index % 2 === 1 ? usage(part) : part.split(', ').map(boldFlag).join(', ')))
    .join('')
}

const boldFlag = (flag: string): string => flag.replace(/\S+/, name => bold(name))

/** Lines of one code follow each other below it. */
function exitLine({ code, error, meaning }: ExitLine): string[] {
  const text = error === '' ? prose(meaning) : `${bold(error)}: ${prose(meaning)}`
  return code === '' ? ['.br', text] : ['.TP', bold(code), text]
}
