// Completion for bash 4 or newer, without the package bash-completion: it walks the words before the cursor, past options
// and their values, to the command that they name. Readline itself completes files (complete's `-o default`), since it
// knows about quotes and `~`.

import { everyCommand, valuePlaces, type CompletedCommand, type CompletedValue } from './completion.ts'

export function bashCompletion(program: CompletedCommand): string {
  const commands = everyCommand(program)
  const own = commands.filter(command => command !== program)
  const nested = commands.filter(command => command.commands.length > 0)
  return `# bash completion for corelift, from: corelift completion bash

# What stands behind an option of a command, or for its argument of a number: sets \`takes\`. Fails where nothing does.
_corelift_takes() {
  case "$1 $2" in
${valuePlaces(program).map(caseOfValue).join('\n')}
    *) return 1 ;;
  esac
}

# The commands below a command: sets \`names\`.
_corelift_commands() {
  case $1 in
${nested.map(command => `    '${command.path}') names='${namesOf(command)}' ;;`).join('\n')}
    *) names= ;;
  esac
}

# The options of a command: sets \`names\`.
_corelift_options() {
  case $1 in
${own.map(command => `    '${command.path}') names='${optionsOf(command)}' ;;`).join('\n')}
    *) names= ;;
  esac
  names+=' ${optionsOf(program)}'
}
${BASH_WALK}`
}

/** Words to choose from, of which a text has none, or a kind after a colon. */
function takenWords(value: CompletedValue): string {
  if (value.kind === 'choice') return value.choices.join(' ')
  return value.kind === 'text' ? '' : `:${value.kind}`
}

function caseOfValue([value, places]: ReturnType<typeof valuePlaces>[number]): string {
  const patterns = places.map(({ path, word }) => (path === undefined ? `*' ${word}'` : `'${path} ${word}'`))
  return `    ${patterns.join(' | \\\n      ')}) takes='${takenWords(value)}' ;;`
}

function namesOf({ commands }: CompletedCommand): string {
  return commands.map(({ name }) => name).join(' ')
}

function optionsOf({ options }: CompletedCommand): string {
  return options.flatMap(({ names }) => names).join(' ')
}

const BASH_WALK = `
_corelift_reply() {
  case $2 in
    :file) compopt -o default ;;
    :directory) compopt -o dirnames ;;
    *) while read -r; do COMPREPLY+=("$REPLY"); done < <(compgen -W "$2" -- "$1") ;;
  esac
}

_corelift() {
  local command=corelift argument=0 ended='' cur=\${COMP_WORDS[COMP_CWORD]} word takes names i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    _corelift_commands "$command"
    if [[ $ended ]]; then
      argument=$((argument + 1))
    elif [[ $word == -- ]]; then
      ended=1
    elif [[ $word == -* ]]; then
      _corelift_takes "$command" "$word" || continue
      i=$((i + 1))
      # Readline makes three words of --option=value.
      if [[ $cur == = ]]; then
        cur=
      elif [[ \${COMP_WORDS[i]} == = ]]; then
        i=$((i + 1))
      fi
      if ((i >= COMP_CWORD)); then
        _corelift_reply "$cur" "$takes"
        return
      fi
    elif [[ " $names " == *" $word "* ]]; then
      command+=" $word"
    else
      argument=$((argument + 1))
    fi
  done
  _corelift_commands "$command"
  if [[ $cur == -* && ! $ended ]]; then
    _corelift_options "$command"
    _corelift_reply "$cur" "$names"
  elif [[ $names ]]; then
    _corelift_reply "$cur" "$names"
  elif _corelift_takes "$command" "$argument"; then
    _corelift_reply "$cur" "$takes"
  fi
}

complete -F _corelift corelift
`
