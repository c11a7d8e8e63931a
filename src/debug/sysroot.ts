// Builds the tree of a plan in the cache: hard links to its files, relative links between its names. A tree is made under
// another name and renamed when it is whole; its name tells what is in it, so one that is there is taken as it is.
import { createHash, randomBytes } from 'node:crypto'
import { copyFile, link, lstat, mkdir, rename, rm, symlink, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { debugFileName, type Cache, type CacheName } from './cache.ts'
import { cacheError } from './cache-root.ts'
import type { PlannedFile, SysrootPlan } from './sysroot-plan.ts'

/** Where a file system gives no (more) hard links, or the cache lies on several. */
const NO_LINK = new Set(['EXDEV', 'EPERM', 'EMLINK', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'])

/**
 * Builds it.
 * @param id - The crash's.
 * @param has - Whether a planned file is in the cache; the others' names lead nowhere, and are left out.
 * @returns Its name in the cache.
 * @throws CoreliftError `E_OUTPUT`
 */
export async function buildSysroot(
  cache: Cache,
  id: string,
  plan: SysrootPlan,
  has: (file: PlannedFile) => boolean,
): Promise<CacheName> {
  const files = plan.files.filter(has)
  const homes = new Set(files.map(({ path }) => path))
  const links = plan.links.filter(({ path, target }) => homes.has(join(dirname(path), target)))
  const { directories } = plan
  const digest = createHash('sha256')
    .update(JSON.stringify([files, links, directories]))
    .digest('hex')
  const name = `sysroots/${id}.${digest.slice(0, 12)}`
  await cache.use(name)
  if (!(await isDirectory(cache.path(name)))) await build(cache, name, { files, links, directories })
  await cache.touch(name)
  return name
}

async function build(
  cache: Cache,
  name: CacheName,
  { files, links, directories }: Pick<SysrootPlan, 'files' | 'links' | 'directories'>,
): Promise<void> {
  const partial = join(cache.path('sysroots'), `.corelift-${randomBytes(6).toString('hex')}.partial`)
  try {
    await mkdir(partial, { mode: 0o700 })
    for (const directory of directories) await mkdir(inside(partial, directory), { recursive: true })
    for (const { path, key } of files)
      await linkOrCopy(cache.path(debugFileName(key)!), inside(partial, path))
    for (const { path, target } of links) await symlink(target, inside(partial, path))
    await take(partial, cache.path(name))
  } catch (cause) {
    await rm(partial, { recursive: true, force: true })
    const { code, message } = cause as NodeJS.ErrnoException
    throw cacheError(
      `cannot make the tree ${name} in the cache: ${code ?? message}`,
      'corelift cache --clear makes room, XDG_CACHE_HOME moves the cache',
      cause,
    )
  }
}

/** The plan has no other names; a tree that is about to be written to disk is worth asking twice. */
function inside(root: string, path: string): string {
  const parts = path.split('/')
  if (path.includes('\0') || parts.some(part => part === '' || part === '.' || part === '..'))
    throw new RangeError(`not a name within a tree: ${JSON.stringify(path)}`)
  return join(root, path)
}

async function linkOrCopy(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true, mode: 0o700 })
  try {
    await link(from, to)
  } catch (error) {
    if (!NO_LINK.has((error as NodeJS.ErrnoException).code ?? '')) throw error
    await copyFile(from, to)
  }
}

async function take(partial: string, path: string): Promise<void> {
  try {
    // Something else of this name, which no run of ours made, would stay in the way of rename(2).
    if ((await lstat(path).catch(() => undefined))?.isDirectory() === false) await unlink(path)
    await rename(partial, path)
  } catch (error) {
    // Another run was faster: it built the same.
    if (!(await isDirectory(path))) throw error
    await rm(partial, { recursive: true, force: true })
  }
}

async function isDirectory(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined))?.isDirectory() === true
}
