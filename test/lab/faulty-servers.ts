// Servers that no client gets through to: certificates that nobody should trust, and one that never accepts.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

/** Endpoints by the name of what is wrong with them. */
export type FaultyServers = Readonly<Record<'SELF_SIGNED' | 'EXPIRED' | 'WRONG_NAME' | 'BACKLOG', string>>

/**
 * @param directory - Empty; the certificates go there.
 * @returns Also the file of the authority that signed the certificates that are only expired, or of another name.
 */
export async function startFaultyServers(
  directory: string,
): Promise<{ servers: FaultyServers; caFile: string; stop: () => Promise<void> }> {
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: directory, stdio: 'ignore' })
  const subject = (name: string) => ['-subj', `/CN=${name}`, '-addext', `subjectAltName=${name}`]
  const key = ['-newkey', 'rsa:2048', '-nodes']
  openssl(
    'req',
    '-x509',
    ...key,
    '-keyout',
    'self.key',
    '-out',
    'self.crt',
    '-days',
    '2',
    ...subject('IP:127.0.0.1'),
  )
  openssl('req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.crt', '-days', '2', '-subj', '/CN=ca')
  const signed = (name: string, host: string, ...dates: string[]) => {
    openssl('req', ...key, '-keyout', `${name}.key`, '-out', `${name}.csr`, ...subject(host))
    const ca = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial', '-copy_extensions', 'copy']
    openssl('x509', '-req', '-in', `${name}.csr`, '-out', `${name}.crt`, ...ca, ...dates)
  }
  signed('expired', 'IP:127.0.0.1', '-days', '-1')
  signed('other', 'DNS:other.example')
  const tls = async (name: string) => {
    const [keyFile, certFile] = [`${name}.key`, `${name}.crt`].map(file =>
      readFileSync(join(directory, file)),
    )
    const server = createServer({ key: keyFile, cert: certFile }, (_, response) => response.end())
    server.on('tlsClientError', () => undefined)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return { server, endpoint: `https://127.0.0.1:${(server.address() as AddressInfo).port}` }
  }
  const [self, expired, other] = await Promise.all(['self', 'expired', 'other'].map(tls))
  const backlog = await startFullBacklog()
  return {
    servers: {
      SELF_SIGNED: self!.endpoint,
      EXPIRED: expired!.endpoint,
      WRONG_NAME: other!.endpoint,
      BACKLOG: backlog.endpoint,
    },
    caFile: join(directory, 'ca.crt'),
    async stop() {
      for (const { server } of [self!, expired!, other!]) server.close().closeAllConnections()
      await backlog.stop()
    },
  }
}

/** Listens, fills its own queue and accepts nobody; node always accepts. */
const FULL_BACKLOG = `
import socket, sys
server = socket.socket()
server.bind(('127.0.0.1', 0))
server.listen(0)
queue = []
for _ in range(8):
    client = socket.socket()
    client.setblocking(False)
    client.connect_ex(server.getsockname())
    queue.append(client)
print(server.getsockname()[1], flush=True)
sys.stdin.read()
`

async function startFullBacklog(): Promise<{ endpoint: string; stop: () => Promise<void> }> {
  const child = spawn('python3', ['-c', FULL_BACKLOG], { stdio: ['pipe', 'pipe', 'inherit'] })
  const exited = once(child, 'exit')
  const [port] = (await once(createInterface(child.stdout), 'line')) as [string]
  return {
    endpoint: `http://127.0.0.1:${port}`,
    async stop() {
      child.stdin.end()
      await exited
    },
  }
}
