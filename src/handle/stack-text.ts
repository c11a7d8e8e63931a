// Stacks as systemd-coredump writes them into the journal, for whoever reads `coredumpctl info`: src/shared/elf-util.c.
import { basename } from 'node:path'
import { printable } from '../printable.ts'
import type { ManifestFrame, ManifestStacks } from '../store/manifest.ts'

/** A hundred frames or two; the manifest has all. */
const LENGTH_MAX = 24 * 1024
const UNKNOWN = 'n/a'

/** @returns Sections `Stack trace of thread N:`, the crashed thread first, printable; as many whole ones as fit. */
export function stackText({ threads, modules }: ManifestStacks): string {
  let text = ''
  for (const { tids, frames } of threads)
    for (const tid of tids) {
      const lines = frames.map((frame, number) => frameLine(frame, number, modules))
      const section = [`Stack trace of thread ${tid}:`, ...lines].join('\n')
      if (text.length + section.length > LENGTH_MAX) return text === '' ? section.slice(0, LENGTH_MAX) : text
      text += text === '' ? section : `\n\n${section}`
    }
  return text
}

/** `#0  0x00007f0e8e2ffe22 raise (libc.so.6 + 0x3de22)` */
function frameLine(
  { pc, module: index, offset, function: name }: ManifestFrame,
  number: number,
  modules: ManifestStacks['modules'],
): string {
  const module = index === undefined ? undefined : modules[index]
  const place = module === undefined ? UNKNOWN : printable(basename(module.path))
  const symbol = name === undefined ? UNKNOWN : printable(name.replace(/\+0x[0-9a-f]+$/, ''))
  return `${`#${number}`.padEnd(3)} 0x${pc.padStart(16, '0')} ${symbol} (${place} + 0x${offset ?? '0'})`
}
