// What commands are given in tests: nothing of this machine, and no store but one in memory.
import type { CliDeps } from '../../src/commands/session.ts'
import { loadConfig } from '../../src/config/load.ts'
import { fakeLock } from '../budget/fake-lock.ts'
import { fakePrograms } from '../debug/fake-programs.ts'
import { MemoryStore } from '../store/memory.ts'
import { deflateFrames } from './crashes.ts'

const NOT_ASKED = 'no test asks for it'

/** @param changes - What a test has of its own. */
export function cliDeps(changes: Partial<CliDeps> = {}): CliDeps {
  return {
    version: '1.2.3',
    os: fakeLock(),
    collect: () => undefined,
    // Whatever this machine has configured is not looked at.
    loadConfig: sources => loadConfig({ ...sources, searched: [] }),
    openStore: () => Promise.resolve(new MemoryStore()),
    openBucket: () => Promise.reject(new Error(NOT_ASKED)),
    openSigner: () => Promise.reject(new Error(NOT_ASKED)),
    decompressor: () => deflateFrames,
    compressor: () => {
      throw new Error(NOT_ASKED)
    },
    programs: fakePrograms(),
    demangle: () => name => name,
    now: () => new Date('2026-11-23T20:45:00Z'),
    ...changes,
  }
}
