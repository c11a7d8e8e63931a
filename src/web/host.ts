// Which Host headers are answered. A page on another site may have its name lead to 127.0.0.1 (DNS rebinding), and then
// reads what it likes: of a server on loopback, names that are not loopback's are refused.
import { isIP } from 'node:net'
import { CoreliftError } from '../errors.ts'

export interface ListenAddress {
  readonly host: string
  readonly port: number
}

export const LISTEN_DEFAULT = '127.0.0.1:8080'

/** @throws CoreliftError `E_USAGE` */
export function parseListen(text: string): ListenAddress {
  const [, bracketed, plain, digits = ''] = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text) ?? []
  const host = bracketed ?? (plain || '127.0.0.1')
  const port = Number(digits)
  const isHost = bracketed === undefined ? /^[A-Za-z0-9.-]+$/.test(host) : isIP(host) === 6
  if (digits !== '' && port <= 65_535 && isHost) return { host, port }
  throw new CoreliftError('E_USAGE', `not an address to listen on: ${text}`, {
    hint: `HOST:PORT, as ${LISTEN_DEFAULT} or [::1]:8080; port 0 is any that is free`,
  })
}

/** Whether only this machine reaches it. */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase()
  return name === 'localhost' || name === '::1' || (isIP(name) === 4 && name.startsWith('127.'))
}

/** A name or an address, and a port: RFC 9110, 7.2. */
const HOST = /^(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9.-]{1,253}))(?::\d{1,5})?$/

/** @param header - The Host header: whatever a client sends. */
export function isHostAllowed(header: string | undefined, { host }: Pick<ListenAddress, 'host'>): boolean {
  const [, bracketed, plain] = HOST.exec(header ?? '') ?? []
  const name = bracketed ?? plain
  return name !== undefined && (!isLoopback(host) || isLoopback(name))
}

/** @returns `http://127.0.0.1:8080`. */
export function urlOf({ host, port }: ListenAddress): string {
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`
}
