// One node of Ceph (monitor, OSD on bluestore, RADOS Gateway) from Debian's packages, as child processes in a directory
// of its own: no root, systemd or manager. Unlike the embedded server it checks credentials, signatures and digests.

import { execFile, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { accessSync, constants } from 'node:fs'
import { mkdir, truncate, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import type { S3Server } from './s3-embedded.ts'

const run = promisify(execFile)

const PROGRAMS = ['ceph', 'ceph-authtool', 'ceph-mon', 'ceph-osd', 'monmaptool', 'radosgw', 'radosgw-admin']
const ACCESS_KEY = 'AKTEST'
const SECRET_KEY = 'SKTEST'
/** Sparse: takes what is stored in it. */
const DISK_BYTES = 20 * 2 ** 30
/** Starting takes 15 s on two cores. */
const START_SECONDS_MAX = 120

/** @returns Why Ceph cannot run here, or undefined when it can. */
export function cephMissing(): string | undefined {
  const missing = PROGRAMS.filter(program => !isInstalled(program))
  return missing.length === 0
    ? undefined
    : `not installed: ${missing.join(', ')} (apt: radosgw ceph-mon ceph-osd)`
}

function isInstalled(program: string): boolean {
  try {
    accessSync(join('/usr/bin', program), constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** @param directory - Empty, on a disk with a few GiB to spare; the caller removes it after `stop`. */
export async function startCeph(directory: string): Promise<Omit<S3Server, 'bucket'>> {
  const [monitorPort, gatewayPort] = await freePorts(2)
  const endpoint = `http://127.0.0.1:${gatewayPort}`
  const children: ChildProcess[] = []
  const ceph = new Cluster(directory, children)
  const stop = () => stopAll(children)
  try {
    await ceph.prepare(monitorPort!, gatewayPort!)
    await ceph.startStorage()
    ceph.daemon('radosgw', ['-f', '-n', 'client.rgw', '--rgw-zone=default'])
    await answers(endpoint, children)
    const user = ['user', 'create', '--uid=t', '--display-name=t']
    await ceph.run('radosgw-admin', [...user, `--access-key=${ACCESS_KEY}`, `--secret-key=${SECRET_KEY}`])
  } catch (error) {
    await stop()
    throw error
  }
  return { endpoint, accessKey: ACCESS_KEY, secretKey: SECRET_KEY, stop }
}

/** The same, with an empty bucket. */
export async function startCephWithBucket(directory: string, bucket = 'cores'): Promise<S3Server> {
  const server = { ...(await startCeph(directory)), bucket }
  const credentials = { accessKeyId: server.accessKey, secretAccessKey: server.secretKey }
  const client = new S3Client({
    endpoint: server.endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials,
  })
  await client.send(new CreateBucketCommand({ Bucket: bucket }))
  client.destroy()
  return server
}

class Cluster {
  readonly #directory: string
  readonly #configuration: string
  readonly #children: ChildProcess[]

  constructor(directory: string, children: ChildProcess[]) {
    this.#directory = directory
    this.#configuration = join(directory, 'ceph.conf')
    this.#children = children
  }

  async run(program: string, args: readonly string[]): Promise<void> {
    await run(program, [...this.#settings(program), ...args], { cwd: this.#directory })
  }

  daemon(program: string, args: readonly string[]): void {
    const options = { cwd: this.#directory, stdio: 'ignore' } as const
    this.#children.push(spawn(program, [...this.#settings(program), ...args], options))
  }

  async prepare(monitorPort: number, gatewayPort: number): Promise<void> {
    const fsid = randomUUID()
    await Promise.all(
      ['mon', 'osd', 'run'].map(name => mkdir(join(this.#directory, name), { recursive: true })),
    )
    await writeFile(this.#configuration, configuration(this.#directory, fsid, monitorPort, gatewayPort))
    await this.#authorize('mon.', ['mon', 'allow *'], '--create-keyring')
    await this.#authorize('client.admin', ['mon', 'allow *', 'osd', 'allow *', 'mgr', 'allow *'])
    await this.#authorize('client.rgw', ['mon', 'allow *', 'osd', 'allow *'])
    await this.#authorize('osd.0', ['mon', 'allow *', 'osd', 'allow *'])
    const address = `[v2:127.0.0.1:${monitorPort}/0]`
    await this.run('monmaptool', ['--create', '--clobber', '--fsid', fsid, '--addv', 'a', address, 'monmap'])
    await this.run('ceph-mon', ['-i', 'a', '--mkfs', '--monmap', 'monmap', '--keyring', 'keyring'])
  }

  async startStorage(): Promise<void> {
    this.daemon('ceph-mon', ['-f', '-i', 'a'])
    const disk = randomUUID()
    await this.run('ceph', ['osd', 'new', disk])
    const block = join(this.#directory, 'osd', 'block')
    await writeFile(block, '')
    await truncate(block, DISK_BYTES)
    await this.run('ceph-osd', ['-i', '0', '--mkfs', '--osd-uuid', disk])
    this.daemon('ceph-osd', ['-f', '-i', '0'])
  }

  async #authorize(
    name: string,
    capabilities: readonly string[],
    ...options: readonly string[]
  ): Promise<void> {
    const caps = pairs(capabilities).flatMap(([service, rule]) => ['--cap', service, rule])
    await this.run('ceph-authtool', [...options, 'keyring', '--gen-key', '-n', name, ...caps])
  }

  /** The tools for files take no cluster's settings. */
  #settings(program: string): string[] {
    return program === 'monmaptool' || program === 'ceph-authtool' ? [] : ['-c', this.#configuration]
  }
}

function pairs(flat: readonly string[]): [string, string][] {
  return flat.flatMap((value, index) =>
    index % 2 === 0 ? [[value, flat[index + 1]!] as [string, string]] : [],
  )
}

/** memstore grows without bound, so bluestore; one copy of everything; no background work that a test would wait for. */
function configuration(directory: string, fsid: string, monitorPort: number, gatewayPort: number): string {
  return `[global]
fsid = ${fsid}
mon_host = v2:127.0.0.1:${monitorPort}/0
ms_bind_ipv6 = false
mon_allow_pool_size_one = true
mon_warn_on_pool_no_redundancy = false
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 8
osd_pool_default_pgp_num = 8
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
osd_objectstore = bluestore
osd_class_load_list = *
osd_memory_target = 1073741824
bluestore_block_size = ${DISK_BYTES}
mon_data_avail_crit = 1
mon_data_avail_warn = 2
mon_data = ${directory}/mon
osd_data = ${directory}/osd
run_dir = ${directory}/run
crash_dir = ${directory}/run
keyring = ${directory}/keyring
admin_socket =
log_file =
log_to_stderr = false
[mon.a]
mon_addr = v2:127.0.0.1:${monitorPort}/0
public_addr = 127.0.0.1
[client.rgw]
rgw_frontends = beast endpoint=127.0.0.1:${gatewayPort}
rgw_thread_pool_size = 32
rgw_enable_usage_log = false
rgw_dynamic_resharding = false
rgw_run_sync_thread = false
`
}

/** All at once, so that no port is given twice. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'))
  await Promise.all(servers.map(server => once(server, 'listening')))
  const ports = servers.map(server => (server.address() as AddressInfo).port)
  await Promise.all(servers.map(server => new Promise(resolve => server.close(resolve))))
  return ports
}

async function answers(endpoint: string, children: readonly ChildProcess[]): Promise<void> {
  for (let waited = 0; waited < START_SECONDS_MAX; waited += 0.2) {
    if (children.some(({ exitCode }) => exitCode !== null)) throw new Error('a daemon of Ceph has ended')
    const answer = await fetch(endpoint).catch(() => undefined)
    if (answer?.ok) return
    await new Promise(resolve => setTimeout(resolve, 200))
  }
  throw new Error(`Ceph does not answer at ${endpoint}`)
}

async function stopAll(children: readonly ChildProcess[]): Promise<void> {
  const running = children.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null)
  // Nothing in it is worth an orderly end.
  await Promise.all(running.map(child => (child.kill('SIGKILL'), once(child, 'exit'))))
}
