// What install, uninstall and canary print.
import type { CanaryReport, ReadBack } from '../node/canary.ts'
import type { Step, StepState } from '../node/transaction.ts'
import type { Uninstalled } from '../node/uninstall.ts'
import { printable } from '../printable.ts'
import { renderBytes } from './render.ts'
import type { Colors } from './terminal.ts'

const WIDTH = 'not undone'.length

export function renderStep({ title, state, why }: Step, colors: Colors): string {
  const color = colors[STEP_COLORS[state]]
  return `${color(state.padStart(WIDTH))}  ${printable(title)}${why === undefined ? '' : `: ${printable(why)}`}\n`
}

const STEP_COLORS: Record<StepState, keyof Colors> = {
  done: 'green',
  same: 'dim',
  planned: 'bold',
  failed: 'red',
  undone: 'yellow',
  'not undone': 'red',
}

export function renderCanary({ event, readBack }: CanaryReport): string {
  const took = `its handler took ${Math.round(event.tookMilliseconds)} ms`
  return `canary ${event.id}: ${readBackWords(readBack, event.why)}; ${took}\n`
}

function readBackWords(readBack: ReadBack, why: string | undefined): string {
  const because = why === undefined ? '' : ` (${printable(why)})`
  switch (readBack.state) {
    case 'verified': {
      const kind = readBack.kind === 'full' ? 'core' : `${readBack.kind} core`
      return `its ${kind} of ${renderBytes(readBack.bytes)} was read back from the store, sound${because}`
    }
    case 'record':
      return `its record was read back from the store; no core was kept${because}`
    case 'denied':
      return `in the store, which confirmed every part; this node may not read it back, as it should be${because}`
    case 'not kept':
      return `the handler ran; nothing is kept of such a crash${because}`
  }
}

export function renderUninstalled(
  { notOurs, waiting }: Uninstalled,
  { dryRun, purge }: { readonly dryRun?: boolean; readonly purge?: boolean },
): string {
  if (dryRun) return 'nothing was changed (--dry-run)\n'
  const lines = [
    ...notOurs.map(
      name => `${name} was changed by others since corelift was installed, and is left as it is`,
    ),
    ...(waiting > 0
      ? [
          `${waiting} ${waiting === 1 ? 'crash' : 'crashes'} could not be sent and ${purge ? 'were dropped' : 'stay on this node'}`,
        ]
      : []),
    'corelift is uninstalled',
  ]
  return `${lines.join('\n')}\n`
}
