// Completion for zsh: a function for each command, with the specifications that `_arguments` of zshcompsys(1) takes. It works
// as a file `_corelift` in $fpath, and when it is sourced.

import {
  everyCommand,
  type CompletedCommand,
  type CompletedOption,
  type CompletedValue,
} from './completion.ts'

export function zshCompletion(program: CompletedCommand): string {
  return `#compdef corelift
# zsh completion for corelift, from: corelift completion zsh
compdef _corelift corelift

# Options that may stand before and after every command.
_corelift_everywhere=(
${program.options.flatMap(optionSpecs).map(indented).join('\n')}
)
${everyCommand(program)
  .map(command => functionOf(command, command === program ? [] : command.options))
  .join('')}
# As a file in $fpath it is the function's first call.
[[ $funcstack[1] == _corelift ]] && _corelift "$@"
:
`
}

function functionOf(command: CompletedCommand, options: readonly CompletedOption[]): string {
  return command.commands.length === 0 ? leafFunction(command, options) : branchFunction(command, options)
}

function leafFunction({ path, values }: CompletedCommand, options: readonly CompletedOption[]): string {
  const specs = [
    ...options.flatMap(optionSpecs),
    ...values.map((value, index) => `${index + 1}${valueSpec(value)}`),
  ]
  return `
${functionName(path)}() {
  _arguments -s -S $_corelift_everywhere${specs.map(spec => ` \\\n  ${indented(spec)}`).join('')}
}
`
}

/** `*::` leaves the words of the command alone, so that its function counts its arguments from 1. */
function branchFunction({ path, commands }: CompletedCommand, options: readonly CompletedOption[]): string {
  const specs = [...options.flatMap(optionSpecs), '1:command:->command', '*::argument:->argument']
  return `
${functionName(path)}() {
  local curcontext=$curcontext state line ret=1
  local -A opt_args
  local -a commands=(
${commands.map(({ name, text }) => `  ${indented(`${name}:${text}`)}`).join('\n')}
  )
  _arguments -C -s -S $_corelift_everywhere${specs.map(spec => ` \\\n  ${indented(spec)}`).join('')} && ret=0
  case $state in
    command) _describe -t commands command commands && ret=0 ;;
    argument) (( $+functions[${functionName(path)}_$line[1]] )) && ${functionName(path)}_$line[1] && ret=0 ;;
  esac
  return ret
}
`
}

function functionName(path: string): string {
  return `_${path.replaceAll(' ', '_')}`
}

function optionSpecs({ names, text, value }: CompletedOption): string[] {
  const excluded = names.length > 1 ? `(${names.join(' ')})` : ''
  const described = `[${text.replaceAll(/[[\]\\]/g, '\\$&')}]`
  return names.map(name => {
    const joined = value !== undefined && name.startsWith('--') ? '=' : ''
    return `${excluded}${name}${joined}${described}${value === undefined ? '' : valueSpec(value)}`
  })
}

/**
 * What the value is called, and what completes it. Where only the one who types knows that is an empty list: a blank, the
 * usual action, shows a message, and that keeps an option from being completed in an argument's place.
 */
function valueSpec(value: CompletedValue): string {
  return `:${value.name.replaceAll(/[:\\]/g, '\\$&')}:${actionOf(value)}`
}

function actionOf(value: CompletedValue): string {
  switch (value.kind) {
    case 'file':
      return '_files'
    case 'directory':
      return '_files -/'
    case 'choice':
      return `(${value.choices.join(' ')})`
    case 'text':
      return '()'
  }
}

function indented(spec: string): string {
  return `  '${spec.replaceAll("'", "'\\''")}'`
}
