// Others that want kernel.core_pattern: their units are masked, unless a former handler is still wanted.
import { hasUnit } from './systemctl.ts'

/** Takes what the former core_pattern's program, systemd-coredump, hands on. */
const COREDUMP_SOCKET = 'systemd-coredump.socket'
/** Registers a socket as core_pattern, from systemd 262 on. */
const COREDUMP_REGISTER = 'systemd-coredump-register.service'
const COREDUMP_REGISTER_SINCE = 262
/** Each sets core_pattern when it starts: Ubuntu's, and those of older Red Hat systems. */
const OTHERS = ['apport.service', 'abrt-ccpp.service']

export interface RivalQuestion {
  /** Directory that stands for `/`. */
  readonly root: string
  /** undefined: not known, an image. */
  readonly systemdVersion: number | undefined
  /** core_pattern as it was before, where host processes are chained to it. */
  readonly chainedTo: string | undefined
}

/** Of systemd-coredump also where it is not installed: a package may bring it any day. */
export function rivalsOf({ root, systemdVersion, chainedTo }: RivalQuestion): string[] {
  const needsSocket = chainedTo?.includes('/systemd-coredump ') === true
  const registers = (systemdVersion ?? COREDUMP_REGISTER_SINCE) >= COREDUMP_REGISTER_SINCE
  return [
    ...(needsSocket ? [] : [COREDUMP_SOCKET]),
    ...(registers ? [COREDUMP_REGISTER] : []),
    ...OTHERS.filter(unit => hasUnit(root, unit)),
  ]
}
