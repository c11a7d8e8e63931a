// How far a download is, on a terminal.
import { renderBytes } from './render.ts'
import type { Session } from './session.ts'

export interface Progress {
  update(bytes: number): void
  stop(): void
}

/** @param bytesTotal - undefined: not known, and nothing is shown. */
export async function progressBar({ io }: Session, bytesTotal: number | undefined): Promise<Progress> {
  if (io.stderr.isTTY !== true || bytesTotal === undefined)
    return { update: () => undefined, stop: () => undefined }
  const { default: cliProgress } = await import('cli-progress')
  const bar = new cliProgress.SingleBar({
    stream: io.stderr,
    clearOnComplete: true,
    // Signals are the entry's: it stops the copy, which stops the bar.
    gracefulExit: false,
    format: '{bar} {percentage}% of {size}, {eta_formatted} left',
  })
  bar.start(bytesTotal, 0, { size: renderBytes(bytesTotal) })
  return bar
}
