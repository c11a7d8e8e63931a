// The project's shell scripts, run by the shells that nodes have, with a PATH that holds what a test puts there: a corelift that
// writes down what it is asked for, and commands that answer for another machine.
import { spawn, type ChildProcess } from 'node:child_process'
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'

const ROOT = path.join(import.meta.dirname, '..', '..')

/** @param name - From the project's root. */
export const scriptText = (name: string): string => readFileSync(path.join(ROOT, name), 'utf8')
export const scriptFile = (name: string): string => path.join(ROOT, name)

const DIRECTORIES = ['/usr/bin', '/bin', '/usr/sbin', '/sbin']

/** @returns Where Debian has it; undefined where it is not installed. */
export function installed(command: string): string | undefined {
  return DIRECTORIES.map(directory => path.join(directory, command)).find(file => {
    try {
      accessSync(file, constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

/**
 * Makes a directory for PATH.
 * @param commands - This machine's, by name.
 * @param scripts - sh scripts by the name of the command that they stand for.
 */
export function makePath(
  directory: string,
  commands: readonly string[],
  scripts: Readonly<Record<string, string>>,
): string {
  mkdirSync(directory, { recursive: true })
  for (const command of commands) {
    const file = installed(command)
    if (file !== undefined) symlinkSync(file, path.join(directory, command))
  }
  for (const [name, text] of Object.entries(scripts)) writeScript(path.join(directory, name), text)
  return directory
}

/** What is there is replaced: written to, a link would lead to a command of this machine. */
export function writeScript(file: string, text: string): void {
  rmSync(file, { force: true })
  writeFileSync(file, `#!/bin/sh\n${text}`, { mode: 0o755 })
}

/**
 * A corelift that appends what it is asked for to a file, and its own path: `install` puts it to `--prefix`, as the real one
 * does. The variables INSTALL_STATUS and DOCTOR_STATUS make it fail.
 * @param log - Absolute path.
 */
export const recordingCorelift = (log: string): string => `
printf '%s\\n' "$*" >>'${log}'
printf '%s\\n' "$0" >>'${log}.path'
case $1 in
install)
  [ "\${INSTALL_STATUS:-0}" = 0 ] || exit "$INSTALL_STATUS"
  while [ "$1" != --prefix ]; do shift; done
  mkdir -p "$2/bin"
  [ "$0" -ef "$2/bin/corelift" ] || cp "$0" "$2/bin/corelift"
  ;;
doctor)
  echo 'checked'
  exit "\${DOCTOR_STATUS:-0}" ;;
esac
`

/** What a recording corelift was asked for. */
export function linesOf(log: string): string[] {
  return existsSync(log) ? readFileSync(log, 'utf8').trimEnd().split('\n') : []
}

export interface ScriptRun {
  /** null when a signal ended it. */
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface RunningScript {
  readonly child: ChildProcess
  readonly ended: Promise<ScriptRun>
}

/**
 * @param command - Shell, script and arguments.
 * @param env - The whole environment.
 * @param stdin - What it reads.
 */
export function startScript(
  command: readonly string[],
  env: Readonly<Record<string, string>>,
  stdin = '',
): RunningScript {
  const [shell = '', ...args] = command
  // A process group of its own, as a service has a cgroup.
  const child = spawn(shell, args, { env, detached: true })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', chunk => (stdout += String(chunk)))
  child.stderr.on('data', chunk => (stderr += String(chunk)))
  child.stdin.on('error', () => undefined) // what does not read it closes it
  child.stdin.end(stdin)
  const ended = new Promise<ScriptRun>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', code => resolve({ code, stdout, stderr }))
  })
  return { child, ended }
}
