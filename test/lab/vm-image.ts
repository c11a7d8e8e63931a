// The disk that virtual nodes boot from: a Debian with its stock kernel, initrd and systemd-coredump, made once and kept
// below build/ until this recipe or the release changes.
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { copyFile, mkdir, mkdtemp, readdir, rename, rm, truncate, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import { makeTree } from './nspawn.ts'

const run = promisify(execFile)
const CACHE = path.join(import.meta.dirname, '..', '..', 'build', 'vm')

export interface VmImage {
  /** ext4, with the label `node`; never written to. */
  readonly disk: string
  readonly kernel: string
  readonly initrd: string
}

/** Where disks of other labels are in the guest: what the host gives it to read, and a place for a store. */
export const LAB_DIR = '/lab'
export const STORE_DIR = '/srv/store'

const PACKAGES = [
  'udev',
  'kmod',
  'procps',
  'ca-certificates',
  'systemd-coredump',
  'linux-image-cloud-amd64',
  'qemu-guest-agent',
]

const DISK_BYTES = 3 * 1024 ** 3

const FSTAB = `LABEL=node / ext4 defaults,noatime 0 1
LABEL=lab ${LAB_DIR} ext4 ro,nofail 0 0
LABEL=store ${STORE_DIR} ext4 nofail 0 0
`

/** Makes the image, in about a minute, or takes the one that is there. @throws Error when the packages cannot be had. */
export async function vmImage(): Promise<VmImage> {
  const recipe = ['vm-image.ts', 'nspawn.ts'].map(file => readFileSync(path.join(import.meta.dirname, file)))
  const stamp = createHash('sha256').update(Buffer.concat([...recipe, readFileSync('/etc/os-release')]))
  const directory = path.join(CACHE, stamp.digest('hex').slice(0, 16))
  if (!existsSync(directory)) {
    await rm(CACHE, { recursive: true, force: true }) // of former recipes
    await makeImage(directory)
  }
  const at = (file: string) => path.join(directory, file)
  return { disk: at('disk'), kernel: at('vmlinuz'), initrd: at('initrd') }
}

async function makeImage(directory: string): Promise<void> {
  await mkdir(CACHE, { recursive: true })
  const unfinished = await mkdtemp(path.join(CACHE, 'unfinished-'))
  const tree = path.join(unfinished, 'tree')
  await makeTree(tree, PACKAGES)
  const at = (file: string) => path.join(tree, file)
  await writeFile(at('etc/fstab'), FSTAB)
  await writeFile(at('etc/hostname'), 'node1\n')
  await mkdir(at(LAB_DIR))
  await mkdir(at(STORE_DIR))
  for (const name of ['vmlinuz', 'initrd']) {
    const file = (await readdir(at('boot'))).find(file => file.startsWith(name))
    await copyFile(at(`boot/${file}`), path.join(unfinished, name))
  }
  await makeDisk(path.join(unfinished, 'disk'), 'node', DISK_BYTES, tree)
  await rm(tree, { recursive: true })
  await rename(unfinished, directory)
}

/** Makes a sparse file with ext4. @param contents - Directory to copy into it. */
export async function makeDisk(file: string, label: string, bytes: number, contents?: string): Promise<void> {
  await writeFile(file, '')
  await truncate(file, bytes)
  await run('mkfs.ext4', ['-q', '-F', '-L', label, ...(contents === undefined ? [] : ['-d', contents]), file])
}
