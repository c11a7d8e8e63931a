// Changes to a node, one after the other, each told; when one fails, all are undone in reverse.
import { CoreliftError } from '../errors.ts'
import { printable } from '../printable.ts'

/** One change. What it needs to undo itself it notes before it applies itself. */
export interface Change {
  /** For people: `write /etc/sysctl.d/60-corelift.conf`. */
  readonly title: string
  /** Absent: it only has something to undo. */
  readonly apply?: () => void | Promise<void>
  /** Whether nothing is to be done, and nothing to be undone. Absent: it always is. */
  readonly isDone?: () => boolean | Promise<boolean>
  /** Undoes it wherever `apply` has come to. Absent: others that are undone take it back. */
  readonly undo?: () => void | Promise<void>
}

export type StepState = 'done' | 'same' | 'planned' | 'failed' | 'undone' | 'not undone'

export interface Step {
  readonly title: string
  readonly state: StepState
  /** Of a failure. */
  readonly why?: string
}

export interface CarryOutOptions {
  readonly dryRun: boolean
  readonly onStep: (step: Step) => Promise<void>
  /** Ends it before the next change; what was done is undone. */
  readonly interrupted: AbortSignal
  /** How the node is after a failure, where everything that has an `undo` was undone. */
  readonly afterFailure: string
}

/**
 * Makes all changes, or none.
 * @throws CoreliftError What the failing change threw if that was one with advice, else `E_INSTALL`. Where something
 * could not be undone the hint says so.
 */
export async function carryOut(changes: readonly Change[], options: CarryOutOptions): Promise<void> {
  const applied: Change[] = []
  for (const change of changes) {
    try {
      options.interrupted.throwIfAborted()
      await carryOutOne(change, applied, options)
    } catch (error) {
      if (options.interrupted.aborted) {
        await undoAll(applied, options)
        throw error
      }
      await options.onStep({ title: change.title, state: 'failed', why: reasonOf(error) })
      throw failure(change, error, await undoAll(applied, options), options)
    }
  }
}

async function carryOutOne(
  change: Change,
  applied: Change[],
  { dryRun, onStep }: CarryOutOptions,
): Promise<void> {
  const { title, apply, isDone } = change
  if (apply === undefined) return void applied.push(change)
  if (await isDone?.()) return await onStep({ title, state: 'same' })
  if (dryRun) return await onStep({ title, state: 'planned' })
  applied.push(change)
  await apply()
  await onStep({ title, state: 'done' })
}

/** @returns Titles of what could not be undone. */
async function undoAll(applied: readonly Change[], { dryRun, onStep }: CarryOutOptions): Promise<string[]> {
  const left: string[] = []
  if (dryRun) return left
  for (const { title, undo } of applied.toReversed()) {
    if (undo === undefined) continue
    try {
      await undo()
      await onStep({ title, state: 'undone' })
    } catch (error) {
      left.push(title)
      await onStep({ title, state: 'not undone', why: reasonOf(error) }).catch(() => undefined)
    }
  }
  return left
}

function failure(
  { title }: Change,
  error: unknown,
  left: readonly string[],
  { afterFailure }: CarryOutOptions,
): CoreliftError {
  const known = error instanceof CoreliftError ? error : undefined
  const after =
    left.length === 0 ? afterFailure : `not undone: ${left.join(', ')}; corelift uninstall tries again`
  const hint = known?.hint === undefined ? after : `${known.hint} (${after})`
  return new CoreliftError(known?.code ?? 'E_INSTALL', known?.message ?? `${title}: ${reasonOf(error)}`, {
    hint,
    cause: error,
  })
}

const reasonOf = (error: unknown): string => printable((error as Error).message)
