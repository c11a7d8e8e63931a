// A core that gdb takes of a C program, against what binutils and elfutils read in it.

import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { scanHead } from '../../src/core/head.ts'
import { mappedFiles, notesIn, summarizeNotes } from '../../src/core/notes.ts'

const THREE_THREADS = `
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
static void *wait_forever(void *unused) { (void)unused; for (;;) pause(); }
int main(void) {
  pthread_t thread;
  for (int i = 0; i < 2; i++) pthread_create(&thread, 0, wait_forever, 0);
  puts("ready");
  fflush(stdout);
  wait_forever(0);
}`

const missing = ['gcc', 'gdb', 'readelf', 'eu-readelf'].filter(
  tool => spawnSync(tool, ['--version']).error !== undefined,
)

t.test(
  'a real core is read as readelf reads it',
  { skip: missing.length > 0 && `needs ${missing.join(', ')}` },
  async t => {
    const directory = t.testdir()
    const [executable, corePath] = [join(directory, 'three-threads'), join(directory, 'core')]
    writeFileSync(`${executable}.c`, THREE_THREADS)
    execFileSync('gcc', ['-pthread', '-o', executable, `${executable}.c`])
    const child = spawn(executable, { stdio: ['ignore', 'pipe', 'ignore'] })
    t.teardown(() => child.kill('SIGKILL'))
    await once(child.stdout, 'data')
    const gdb = ['-nx', '-batch', '-p', `${child.pid}`, '-ex', `generate-core-file ${corePath}`]
    const { stderr } = spawnSync('gdb', gdb, { encoding: 'utf8', timeout: 60_000 })
    if (stderr.includes('ptrace: Operation not permitted')) {
      t.pass('', { skip: 'may not ptrace here' })
      return
    }

    const bytes = readFileSync(corePath)
    const scan = scanHead(bytes)
    if (scan.state !== 'core') throw new Error(JSON.stringify(scan))
    const { head } = scan
    t.equal(head.bytesExpected, bytes.length)

    const segments = Array.from({ length: head.segments }, (_, index) => head.programHeader(index))
    t.strictSame(
      segments.map(({ type, offset, vaddr, filesz, memsz }) => [
        type === 4 ? 'NOTE' : 'LOAD',
        offset,
        vaddr,
        filesz,
        memsz,
      ]),
      readelfSegments(corePath),
    )
    // gdb writes the notes behind the memory, the kernel before it: here they are taken from where they are.
    const place = segments.find(({ type }) => type === 4)!
    const region = bytes.subarray(place.offset, place.offset + place.filesz)
    const notes = execFileSync('eu-readelf', ['-n', corePath], { encoding: 'utf8' })
    t.equal([...notesIn(region)].length, notes.match(/^ {2}(CORE|LINUX|GDB) /gm)?.length)
    t.match(summarizeNotes(region), {
      threads: 3,
      crashingThread: { tid: child.pid },
      bytesRead: place.filesz,
    })
    const paths = [...mappedFiles(notesIn(region))].map(({ path }) => Buffer.from(path).toString())
    t.ok(paths.includes(executable))
    t.equal(paths.length, Number(/(\d+) files:/.exec(notes)?.[1]))
  },
)

function readelfSegments(path: string): unknown[] {
  const output = execFileSync('readelf', ['-lW', path], { encoding: 'utf8' })
  const row = /^ {2}(NOTE|LOAD) +0x(\w+) 0x(\w+) 0x\w+ 0x(\w+) 0x(\w+)/gm
  return [...output.matchAll(row)].map(([, type, offset, vaddr, filesz, memsz]) => [
    type,
    Number(`0x${offset}`),
    BigInt(`0x${vaddr}`),
    Number(`0x${filesz}`),
    BigInt(`0x${memsz}`),
  ])
}
