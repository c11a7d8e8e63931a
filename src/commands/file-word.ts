// Names of files that people get, from what a workload chose.
import type { Manifest } from '../store/manifest.ts'

/** @returns The comm, with nothing in it that a shell, a terminal, a path or a header takes for its own. */
export function commWord(process: Manifest['process'] | undefined): string {
  return (process?.comm ?? 'unknown').replaceAll(/[^A-Za-z0-9_.-]/g, '_')
}
