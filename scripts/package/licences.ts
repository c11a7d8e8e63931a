// What others wrote that is in the binary, with their licences, as those ask for.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

interface LockedPackage {
  readonly version: string
  readonly license?: string
  readonly dev?: boolean
}

const BUN = '@oven/bun-linux-x64'
const BUN_NOTE = `Bun is licensed under the MIT licence. It contains JavaScriptCore and other parts of WebKit (LGPL-2 and BSD) and
further libraries: https://bun.com/docs/project/licensing`

/**
 * Production packages of npm as locked, and Bun; those with the same text share it.
 * @throws Error where they are not installed.
 */
export function thirdPartyLicences(root: string): string {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, LockedPackage>
  }
  const byText = new Map<string, string[]>()
  for (const [path, { version, license, dev }] of Object.entries(lock.packages)) {
    const name = path.split('node_modules/').at(-1)!
    // What the lock has no licence of is left out of the binary: ssh2 (scripts/build.ts) and what it needs.
    if (path === '' || (dev === true && name !== BUN) || license === undefined) continue
    const text = name === BUN ? BUN_NOTE : licenceText(join(root, path))
    byText.set(text, [...(byText.get(text) ?? []), `${name} ${version} (${license})`])
  }
  return [...byText]
    .map(([text, names]) => `${names.join('\n')}\n\n${text}\n`)
    .join(`\n${'-'.repeat(78)}\n\n`)
}

/** Empty where a package brings none: its name and that of its licence have to do. */
function licenceText(directory: string): string {
  const file =
    existsSync(directory) && readdirSync(directory).find(name => /^(licen[cs]e|copying)/i.test(name))
  return file ? readFileSync(join(directory, file), 'utf8').trim() : ''
}
