// Core handlers to compare. Each starts by a shell script that notes its pid and becomes the program: they all pay the
// same, and the bench can watch the process that the kernel started.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { corePattern } from '../src/kernel/core-pattern.ts'
import { decodeManifest } from '../src/store/manifest-schema.ts'
import type { Manifest, ManifestCore } from '../src/store/manifest.ts'
import { makeNode, type TestNode } from '../test/lab/node.ts'
import { type S3Server, startEmbeddedS3 } from '../test/lab/s3-embedded.ts'

export interface Handler {
  /** For kernel.core_pattern. */
  readonly pattern: string
  /** @returns Pid of the process that the kernel started last. */
  pid(): number
}

/** A tmpfs: nothing of a handler's own set-up reaches a disk. Short, for core_pattern holds 127 bytes. */
export function scratchDirectory(): string {
  return mkdtempSync('/dev/shm/cb-')
}

/**
 * A program for kernel.core_pattern: a script that notes its pid.
 * @param body - Shell commands; the last becomes the handler (`exec`).
 */
export function handlerScript(dir: string, body: string): { path: string; pid: () => number } {
  const path = join(dir, 'h')
  const pidFile = join(dir, 'pid')
  writeFileSync(path, `#!/bin/sh\necho $$ >${pidFile}\n${body}\n`, { mode: 0o755 })
  return { path, pid: () => Number(readFileSync(pidFile, 'utf8')) }
}

/**
 * The measure of all: the least that a handler which compresses has to do.
 * @param dir - One for each: it holds the script.
 */
export function zstdHandler(dir: string, nice = 0): Handler {
  const { path, pid } = handlerScript(dir, `exec nice -n ${nice} zstd -1 -T1 -q >/dev/null`)
  return { pattern: corePattern([path]), pid }
}

/** @param body - Shell commands that end in the program, whose arguments are `"$@"`. */
export function coreliftHandler(node: TestNode, body = `exec ${node.binary} "$@"`): Handler {
  const { path, pid } = handlerScript(node.dir, body)
  return { pattern: corePattern([path, 'handle', '--config', node.configFile]), pid }
}

export interface S3Node extends TestNode {
  readonly server: S3Server
  stop(): Promise<void>
}

/**
 * A node whose store is an embedded S3 server on loopback.
 * @param config - More configuration, TOML.
 */
export async function startS3Node(config = ''): Promise<S3Node> {
  const server = await startEmbeddedS3()
  const secrets = scratchDirectory()
  const credentials = join(secrets, 'credentials')
  writeFileSync(
    credentials,
    `[default]\naws_access_key_id = ${server.accessKey}\naws_secret_access_key = ${server.secretKey}\n`,
  )
  const node = makeNode(config, s3Toml(server.endpoint, server.bucket, credentials))
  return {
    ...node,
    server,
    async stop() {
      node.remove()
      rmSync(secrets, { recursive: true })
      await server.stop()
    },
  }
}

const s3Toml = (endpoint: string, bucket: string, credentials: string): string =>
  `[store]
url = "s3://${bucket}/bench"
endpoint = "${endpoint}"
path_style = true
credentials_file = "${credentials}"`

/** Every crash leaves a mini core, and no other. */
export const MINI_ONLY = '[[policy.rules]]\ncapture = "mini"'

/**
 * Checks that a number that was measured is that of cores which were stored.
 * @param crashes - How many the node had, all of them with complete cores; an error otherwise.
 * @returns What the newest crash's manifest says of its core, and the manifest.
 */
export async function storedCore(
  node: TestNode,
  crashes: number,
): Promise<{ core: ManifestCore; manifest: Manifest }> {
  const list = await node.cli('ls', '--json')
  const found = JSON.parse(list.stdout || '[]') as { id: string; outcome: string }[]
  const whole = found.filter(({ outcome }) => outcome === 'full')
  if (whole.length !== crashes)
    throw new Error(`${whole.length} of ${crashes} cores were stored: ${list.stderr}`)
  const info = await node.cli('info', found[0]!.id, '--json')
  const manifest = decodeManifest(Buffer.from(info.stdout), found[0]!.id)
  if (manifest.core === null) throw new Error(`crash ${manifest.id} has no core`)
  return { core: manifest.core, manifest }
}
