// `corelift info` for people: what happened first, then who it was, what is stored, and how it went.

import type { Manifest, ManifestProcess } from '../store/manifest.ts'
import type { Demangle } from './demangle.ts'
import type { CrashInfo, UnfinishedCrash } from './info.ts'
import { type Field, renderSections } from './render-fields.ts'
import { policyFields, sourceFields, workloadFields } from './render-workload.ts'
import { stackSections } from './render-stacks.ts'
import { renderBytes } from './render.ts'
import type { Colors } from './terminal.ts'

/** @returns What /proc said. */
export function processFields(process: ManifestProcess): Field[] {
  return [
    ['comm', process.comm],
    ['exe', process.exe],
    ['cmdline', process.cmdline.join(' ')],
    ['cwd', process.cwd],
    ['root', process.root],
    ['cgroup', process.cgroup],
    ['parent', process.ppid],
    ['threads', process.threads],
    ...Object.entries(process.environ ?? {}).map(([name, value]): Field => ['environ', `${name}=${value}`]),
  ]
}

/** @returns What became of the core, in a sentence. */
export function renderOutcome(manifest: Manifest): string {
  const { core, outcome, reasonText, reason } = manifest
  const why = reasonText ?? reason ?? 'no reason is given'
  if (core === null) return outcome === 'mini' ? `mini core: ${why}` : `record only: ${why}`
  if (core.complete) return outcome === 'trimmed' ? `trimmed: ${why}` : `${outcome}, complete`
  return `incomplete: ${core.bytesReceived} of ${core.bytesExpected} bytes were received`
}

/** @returns What is stored, why not more, and how it went. */
export function outcomeFields(manifest: Manifest): Field[] {
  const { core, mini, size, kit, signature } = manifest
  const steps = Object.entries(manifest.durations).map(([step, ms]) => `${step} ${Math.round(ms)} ms`)
  return [
    ['outcome', renderOutcome(manifest)],
    ['core', core && `${renderBytes(core.bytesReceived)}, ${renderBytes(core.bytesStored)} stored`],
    ['left out', core?.trimmed && renderBytes(core.trimmed.bytesDropped)],
    ['mini core', mini && `${renderBytes(mini.bytes)}, in the kit`],
    [
      'announced',
      manifest.outcome === 'full' ? undefined : size.bytesExpected && renderBytes(size.bytesExpected),
    ],
    ['signature', signature],
    ['threads', core && `${core.threads}, ${core.segments} segments, ${core.machine}`],
    ['sha256', core && `${core.sha256Stored} (of ${core.key})`],
    ['kit', kit && renderBytes(kit.bytes)],
    ...fileFields(manifest.files),
    ...(manifest.policy?.rule === undefined ? [] : policyFields(manifest.policy)),
    ['took', steps.join(', ')],
    ...manifest.warnings.map((warning): Field => ['warning', warning]),
    ['handler', manifest.handler.version],
  ]
}

/** @returns What the kernel said. */
export function crashFields(manifest: Manifest): Field[] {
  const { crash } = manifest
  return [
    ['crash', manifest.id],
    ['time', manifest.time],
    ['node', manifest.node],
    ['signal', `${crash.signalName} (${crash.signal})`],
    ['pid', crash.tid === crash.pid ? crash.pid : `${crash.pid}, thread ${crash.tid}`],
    ['uid, gid', `${crash.uid}, ${crash.gid}`],
    ['host name', crash.hostname],
    ['RLIMIT_CORE', crash.coreRlimitBytes],
    ['dumpable', crash.dumpable === 1 ? undefined : `${crash.dumpable} (restricted)`],
    ['pidfd', crash.pidfd],
  ]
}

/** Of files that will never be there each is named. */
function fileFields(files: Manifest['files']): Field[] {
  if (files === undefined) return []
  const { mapped, mappedOmitted } = files
  const unstored = mapped.filter(({ key }) => key === undefined)
  const bytes = mapped.reduce((sum, file) => sum + (file.key === undefined ? 0 : (file.bytes ?? 0)), 0)
  const more = mappedOmitted > 0 ? `, and ${mappedOmitted} more` : ''
  return [
    [
      'binaries',
      `${mapped.length - unstored.length} executables and libraries, ${renderBytes(bytes)}${more}`,
    ],
    ...unstored.map(({ path, why }): Field => ['not stored', why === undefined ? path : `${path}: ${why}`]),
  ]
}

function renderManifest(manifest: Manifest, colors: Colors, demangle: () => Demangle): string {
  const { process, workload } = manifest
  const sections: Field[][] = [
    crashFields(manifest),
    workloadFields(workload),
    process === null ? [['process', manifest.processGone ?? 'gone']] : processFields(process),
    outcomeFields(manifest),
    ...(manifest.stacks ? stackSections(manifest.stacks, demangle()) : []),
    sourceFields(workload),
  ]
  return renderSections(sections, colors)
}

function renderUnfinished(crash: UnfinishedCrash, colors: Colors): string {
  const objects = Object.entries(crash.objects)
  const fields: Field[] = [
    ['crash', crash.id],
    ['namespace', crash.namespace],
    ['pod', crash.pod],
    ['outcome', 'unfinished: no manifest; the core is still being uploaded, or its handler died'],
    ...objects.map(([name, bytes]): Field => ['object', `${name} (${renderBytes(bytes)})`]),
  ]
  return renderSections([fields], colors)
}

/**
 * @param demangle - Called where there is something to demangle.
 * @returns A crash's record, one section for each subject.
 */
export function renderInfo({ record }: CrashInfo, colors: Colors, demangle: () => Demangle): string {
  return record.outcome === 'unfinished'
    ? renderUnfinished(record, colors)
    : renderManifest(record, colors, demangle)
}
