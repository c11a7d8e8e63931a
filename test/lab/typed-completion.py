# typed-completion.py bash|zsh|zsh-fpath SCRIPT: loads a completion script in an interactive shell on a terminal of its own. For each
# line of standard input it types that, asks the shell to put in all that it offers, and prints what the line then is.
import json, os, pty, select, sys

# Ctrl-O puts every candidate in; Ctrl-T prints the line between marks, which are written so that no echo has them.
ZSH = r'''
        zle -C all complete-word _generic; bindkey '^O' all
        zstyle ':completion:all:*' completer _all_matches _complete
        zstyle ':completion:all:*' insert yes
        show() { print -rn -- "<""<$BUFFER>>"; BUFFER= }; zle -N show; bindkey '^T' show
'''
SHELLS = {
    'bash': (['bash', '--norc', '--noprofile', '-i'], r'''
        source "$SCRIPT"
        bind '"\C-o": insert-completions'
        bind -x '"\C-t": printf "<%s>>" "<$READLINE_LINE"; READLINE_LINE='
    '''),
    'zsh': (['zsh', '-f', '-i'], 'autoload -Uz compinit; compinit -u -D; source "$SCRIPT"' + ZSH),
    # As packages do, by a file of the function's name.
    'zsh-fpath': (['zsh', '-f', '-i'], 'fpath+=("${SCRIPT:h}"); autoload -Uz compinit; compinit -u -D' + ZSH),
}
PATIENCE_SECONDS = 30

argv, commands = SHELLS[sys.argv[1]]
pid, terminal = pty.fork()
if pid == 0:
    os.environ.update(TERM='dumb', PS1='', SCRIPT=sys.argv[2], HISTFILE='/dev/null')
    os.execvp(argv[0], argv)

seen = b''
def until(mark):
    global seen
    while mark not in seen:
        if not select.select([terminal], [], [], PATIENCE_SECONDS)[0]:
            sys.exit(f'{argv[0]} says no more: {seen!r}')
        seen += os.read(terminal, 4096)
    before, seen = seen.split(mark, 1)
    return before.decode()

os.write(terminal, commands.replace('\n', ';').replace(' ' * 8, '').strip('; ').encode() + b'; printf "%s" "rea""dy"\n')
until(b'ready')
for line in sys.stdin.read().splitlines():
    os.write(terminal, line.encode() + b'\x0f\x14')
    until(b'<<')
    print(json.dumps(until(b'>>').split()))
