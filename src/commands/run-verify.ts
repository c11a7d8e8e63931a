// What `corelift verify` does with its options.
import { CoreliftError, EXIT } from '../errors.ts'
import { DURATION_WORDS, parseDuration } from '../units.ts'
import { renderJson } from './render.ts'
import { renderVerify } from './render-verify.ts'
import { note, type TargetOptions, withStore } from './run.ts'
import type { Session } from './session.ts'
import { colorsFor, write } from './terminal.ts'
import { repair } from './verify-repair.ts'
import { type Finding, type Verified, verify } from './verify.ts'

export interface VerifyOptions extends TargetOptions {
  readonly all?: boolean
  readonly content?: boolean
  readonly repair?: boolean
  readonly settled: string
}

export interface VerifyReport extends Omit<Verified, 'findings'> {
  /** Whether objects were read to their end. */
  readonly content: boolean
  readonly findings: readonly (Omit<Finding, 'repair'> & {
    /** What was done about it, or why it was not; absent: nothing was to be done, or not asked for. */
    readonly repaired?: string
  })[]
}

export async function runVerify(
  session: Session,
  target: string | undefined,
  options: VerifyOptions,
): Promise<void> {
  const { io, deps } = session
  if ((target === undefined) !== (options.all ?? false))
    throw new CoreliftError(
      'E_USAGE',
      target === undefined ? 'verify what?' : '--all and a target exclude each other',
      {
        hint: 'a pod, a crash id, or --all',
      },
    )
  const settledSeconds = parseDuration(options.settled)
  if (settledSeconds === undefined) throw new CoreliftError('E_USAGE', `--settled takes ${DURATION_WORDS}`)
  // One crash is read whole; of all of them, that would be the whole bucket.
  const content = options.content ?? !options.all
  await withStore(session, options, async store => {
    const query = { target, namespace: options.namespace, content, settledSeconds }
    const { findings, ...verified } = await verify(store, query, deps)
    const told: VerifyReport['findings'][number][] = []
    for (const finding of findings) {
      const repaired = options.repair ? await repair(store, finding, deps) : undefined
      const { repair: _, ...rest } = finding
      told.push({ ...rest, ...(repaired !== undefined && { repaired }) })
    }
    const report: VerifyReport = { ...verified, content, findings: told }
    const colors = colorsFor(io.stdout, io.env, options.color)
    await write(io.stdout, options.json ? renderJson(report) : renderVerify(report, colors))
    const isMended = ({ repaired }: { repaired?: string }) =>
      repaired !== undefined && !repaired.startsWith('not ')
    if (!told.every(isMended)) session.exitCode = EXIT.corrupt
    if (options.repair && told.some(finding => !isMended(finding)))
      await note(session, 'what could not be repaired is in the list above')
  })
}
