// Completion for fish: which command the cursor is in decides which candidates count, so a function walks the words before
// it, past options and their values.

import {
  everyCommand,
  valuePlaces,
  type CompletedCommand,
  type CompletedOption,
  type CompletedValue,
} from './completion.ts'

export function fishCompletion(program: CompletedCommand): string {
  const commands = everyCommand(program)
  const withValue = valuePlaces(program)
    .flatMap(([, places]) => places)
    .filter(({ word }) => word.startsWith('-'))
    .map(({ path, word }) => quote(`${path ?? '*'} ${word}`))
  const paths = commands.filter(command => command !== program).map(({ path }) => quote(path))
  return `# fish completion for corelift, from: corelift completion fish

# Whether a value follows an option of a command.
function __corelift_takes
    switch "$argv"
        case ${withValue.join(' \\\n            ')}
            return 0
    end
    return 1
end

# Whether the cursor is in this command.
function __corelift_in
    set -l command corelift
    set -l is_value false
    for word in (commandline -opc)[2..]
        if $is_value
            set is_value false
        else if __corelift_takes $command $word
            set is_value true
        else if contains -- "$command $word" ${paths.join(' \\\n                ')}
            set command "$command $word"
        end
    end
    test "$command" = "$argv"
end

complete -c corelift -f
${program.options.map(option => optionLine(option)).join('\n')}
${commands.flatMap(command => linesOf(command, command === program)).join('\n')}
`
}

function linesOf(command: CompletedCommand, isProgram: boolean): string[] {
  const inside = `-n ${quote(`__corelift_in ${command.path}`)}`
  return [
    ...command.commands.map(
      ({ name, text }) => `complete -c corelift ${inside} -a ${name} -d ${quote(text)}`,
    ),
    // The program's count everywhere.
    ...(isProgram ? [] : command.options).map(option => optionLine(option, inside)),
    // fish does not count arguments: all that one of them may be is offered for each.
    ...command.values.map(value => `complete -c corelift ${inside} ${candidatesOf(value)}`),
  ]
}

function optionLine({ names, text, value }: CompletedOption, inside = ''): string {
  const flags = names.map(name => (name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`))
  const taken = value === undefined ? '' : `-r ${candidatesOf(value)}`
  return ['complete -c corelift', inside, ...flags, taken, `-d ${quote(text)}`].filter(Boolean).join(' ')
}

/** `-f`: no files. */
function candidatesOf(value: CompletedValue): string {
  switch (value.kind) {
    case 'file':
      return '-F'
    case 'directory':
      return "-f -a '(__fish_complete_directories)'"
    case 'choice':
      return `-f -a ${quote(value.choices.join(' '))}`
    case 'text':
      return '-f'
  }
}

/** Within single quotes fish knows two escapes. */
function quote(text: string): string {
  return `'${text.replaceAll(/[\\']/g, '\\$&')}'`
}
