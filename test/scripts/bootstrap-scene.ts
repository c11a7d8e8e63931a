// A node for scripts/bootstrap.sh: a corelift that writes down what it is asked for, commands that answer, a web server.
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { Test } from 'tap'
import {
  linesOf,
  makePath,
  recordingCorelift,
  scriptFile,
  startScript,
  writeScript,
} from '../lab/shell-script.ts'

export const SCRIPT = scriptFile('scripts/bootstrap.sh')
/** All that it uses of a node, beside what downloads. */
export const COMMANDS =
  'sh cat chmod cp df dirname getconf head id ldd mkdir mktemp rm sha256sum timeout tr true uname'.split(' ')
export const SHELLS = { dash: ['/usr/bin/dash'], busybox: ['/usr/bin/busybox', 'sh'] }
export const isRoot = process.getuid?.() === 0

/** A machine that is fit, whatever runs the tests; nobody waits. */
export const FIT = {
  id: 'echo 0',
  uname: 'echo x86_64',
  getconf: 'echo glibc 2.36',
  sleep: 'echo "$@" >>"$SLEPT"',
}

export interface Scene {
  readonly dir: string
  readonly prefix: string
  readonly binary: Buffer
  readonly sha256: string
  /** Requests of corelift. */
  asked(): string[]
  /** Where corelift ran from. */
  ranFrom(): string[]
  staged(): string[]
  readonly env: Record<string, string>
}

export function scene(t: Test, downloader = 'curl', answers: Record<string, string> = {}): Scene {
  const dir = t.testdir({ staging: {}, opt: {} })
  const log = join(dir, 'log')
  const local = join(dir, 'corelift')
  writeScript(local, recordingCorelift(log))
  const binary = readFileSync(local)
  const PATH = makePath(join(dir, 'path'), [...COMMANDS.filter(name => !(name in FIT)), downloader], {
    ...FIT,
    ...answers,
  })
  return {
    ...{ dir, binary, prefix: join(dir, 'opt', 'prefix') },
    sha256: createHash('sha256').update(binary).digest('hex'),
    asked: () => linesOf(log),
    ranFrom: () => linesOf(`${log}.path`),
    staged: () => readdirSync(join(dir, 'staging')),
    env: { PATH, TMPDIR: join(dir, 'staging'), SLEPT: join(dir, 'slept') },
  }
}

/** A web server on loopback that counts. */
export async function serve(
  t: Test,
  listener: RequestListener,
): Promise<{ url: string; requests: string[] }> {
  const requests: string[] = []
  const server = createServer((request, response) => {
    requests.push(request.url ?? '')
    listener(request, response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests }
}

export const bootstrap = (
  { env, prefix }: Scene,
  args: readonly string[],
  { shell = SHELLS.dash, more = {}, stdin = '' }: { shell?: string[]; more?: object; stdin?: string } = {},
) => startScript([...shell, SCRIPT, '--prefix', prefix, ...args], { ...env, ...more }, stdin)
