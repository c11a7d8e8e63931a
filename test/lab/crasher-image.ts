// The image of which containers crash in tests: `crasher`, and `wait`, which does nothing until it is told to end.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { compileStatic, imageArchive, PAUSE_SOURCE } from './image.ts'

export const IMAGE = 'docker.io/library/crasher:1'
const SOURCE = join(import.meta.dirname, '..', 'fixtures', 'crasher.c')

/** @returns The statically linked program, with debug information. */
export function compileCrasher(): Promise<Buffer> {
  return compileStatic(readFileSync(SOURCE, 'utf8'), ['-pthread'])
}

/** @returns A docker-archive of the image. */
export async function crasherImage(): Promise<Buffer> {
  const programs = { '/bin/crasher': await compileCrasher(), '/bin/wait': await compileStatic(PAUSE_SOURCE) }
  return imageArchive({ reference: IMAGE, programs, entrypoint: ['/bin/wait'] })
}
