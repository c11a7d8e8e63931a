// systemctl(1), for the few things that files alone do not do.
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { CoreliftError } from '../errors.ts'
import { printable } from '../printable.ts'

export interface Systemd {
  isActive(unit: string): Promise<boolean>
  start(unit: string): Promise<void>
  stop(unit: string): Promise<void>
  restart(unit: string): Promise<void>
  /** Reads the unit files again. */
  reload(): Promise<void>
  /** 252 and the like; undefined: it does not say. */
  version(): Promise<number | undefined>
}

/** Units start and stop in a moment; a systemd that hangs must not hold an installation for ever. */
const TIMEOUT_MS = 60_000

export const systemd: Systemd = {
  async isActive(unit) {
    // Ends with 3 where it is not: systemctl(1), exit status.
    const state = await systemctl(['is-active', unit]).catch(() => 'inactive')
    return state.trim() === 'active'
  },
  start: unit => systemctl(['start', unit]).then(() => undefined),
  stop: unit => systemctl(['stop', unit]).then(() => undefined),
  restart: unit => systemctl(['restart', unit]).then(() => undefined),
  reload: () => systemctl(['daemon-reload']).then(() => undefined),
  async version() {
    const text = await systemctl(['--version']).catch(() => '')
    const [, version] = /^systemd (\d+)/.exec(text) ?? []
    return version === undefined ? undefined : Number(version)
  },
}

async function systemctl(args: readonly string[]): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)('systemctl', args, { timeout: TIMEOUT_MS })
    return stdout
  } catch (error) {
    const { stderr } = error as { stderr?: string }
    const why = stderr?.trim() || (error as Error).message
    throw new CoreliftError('E_INSTALL', `systemctl ${args.join(' ')}: ${printable(why)}`, { cause: error })
  }
}

/** systemd.unit(5), "Unit File Load Path", and the scripts that it makes units of. */
const UNIT_DIRS = ['etc', 'run', 'usr/local/lib', 'usr/lib', 'lib'].map(parent => `${parent}/systemd/system`)

/**
 * Whether there is a unit, installed by whomever.
 * @param root - Directory that stands for `/`.
 */
export function hasUnit(root: string, unit: string): boolean {
  const script = path.join('etc/init.d', unit.replace(/\.service$/, ''))
  const places = UNIT_DIRS.map(directory => path.join(directory, unit))
  return [...places, script].some(place => existsSync(path.join(root, place)))
}
