// Container images without a registry: one layer of static programs, as an archive that `ctr images import` and
// `docker load` take. Format: Docker Image Specification v1.2, "Combined Image JSON + Filesystem Changeset Format".
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { buffer } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { pack } from 'tar-stream'

const run = promisify(execFile)

/**
 * Compiles a C program that needs nothing of its container.
 * @param source - C source text.
 * @param flags - Further options of gcc.
 * @returns The ELF executable, statically linked.
 */
export async function compileStatic(source: string, flags: readonly string[] = []): Promise<Buffer> {
  const directory = await mkdtemp(path.join(tmpdir(), 'corelift-lab-cc-'))
  try {
    const [input, output] = [path.join(directory, 'main.c'), path.join(directory, 'main')]
    await writeFile(input, source)
    await run('gcc', ['-static', '-g', '-O1', ...flags, '-o', output, input])
    return await readFile(output)
  } finally {
    await rm(directory, { recursive: true })
  }
}

/** A program that does nothing until it is told to end: what a pod's sandbox runs, and what tests wait with. */
export const PAUSE_SOURCE = `
#include <signal.h>
#include <unistd.h>
static void leave(int signal) { _exit(0); }
int main(void) { signal(SIGTERM, leave); signal(SIGINT, leave); for (;;) pause(); }
`

export interface ImageContents {
  /** Name and tag: `docker.io/library/web:1`. */
  readonly reference: string
  /** Executables, and whatever they read, by their absolute path. */
  readonly programs: Readonly<Record<string, Uint8Array>>
  /** Targets of symbolic links by the links' absolute path. */
  readonly links?: Readonly<Record<string, string>>
  readonly entrypoint: readonly string[]
}

/** Makes an image. @returns A docker-archive tar. */
export async function imageArchive(image: ImageContents): Promise<Buffer> {
  const programs = Object.entries(image.programs).map(([name, body]) => ({
    name: name.slice(1),
    body,
    mode: 0o755,
  }))
  const directories = [...new Set(programs.map(program => path.dirname(program.name)))]
  const links = Object.entries(image.links ?? {}).map(([name, target]) => ({ name: name.slice(1), target }))
  const layer = await tar([
    ...links,
    ...directories.map(name => ({ name: `${name}/`, body: undefined, mode: 0o755 })),
    ...programs,
  ])
  const config = {
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    config: { Entrypoint: image.entrypoint, Env: ['PATH=/bin'] },
    rootfs: { type: 'layers', diff_ids: [`sha256:${createHash('sha256').update(layer).digest('hex')}`] },
  }
  const manifest = [{ Config: 'config.json', RepoTags: [image.reference], Layers: ['layer.tar'] }]
  return tar([
    { name: 'config.json', body: Buffer.from(JSON.stringify(config)), mode: 0o644 },
    { name: 'layer.tar', body: layer, mode: 0o644 },
    { name: 'manifest.json', body: Buffer.from(JSON.stringify(manifest)), mode: 0o644 },
  ])
}

interface TarLink {
  readonly name: string
  readonly target: string
}

interface TarFile {
  readonly name: string
  /** A directory, where there is none. */
  readonly body: Uint8Array | undefined
  readonly mode: number
}

async function tar(entries: readonly (TarFile | TarLink)[]): Promise<Buffer> {
  const archive = pack()
  // The epoch: the same contents make the same image.
  const mtime = new Date(0)
  for (const entry of entries) {
    if ('target' in entry) {
      archive.entry({ name: entry.name, linkname: entry.target, mtime, type: 'symlink' })
      continue
    }
    const { name, body, mode } = entry
    if (body === undefined) archive.entry({ name, mode, mtime, type: 'directory' })
    else archive.entry({ name, mode, mtime }, Buffer.from(body))
  }
  archive.finalize()
  return buffer(archive)
}
