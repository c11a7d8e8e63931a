// Reads manifests back, for people's commands. What lies in a bucket may have been written by another version, cut, or
// edited: everything is checked before anybody relies on the type.

import * as v from 'valibot'
import type { RefusalReason, SourceName } from '../crash.ts'
import { CoreliftError } from '../errors.ts'
import { MANIFEST_VERSION, type Manifest } from './manifest.ts'

// A record, so that the compiler asks for every reason.
const REASONS: Record<RefusalReason, true> = {
  'rlimit-core': true,
  policy: true,
  memory: true,
  pressure: true,
  size: true,
  signature: true,
  rate: true,
  bytes: true,
  slots: true,
  empty: true,
  'head-truncated': true,
  'not-elf': true,
  'head-invalid': true,
  'elf-32bit': true,
  'elf-big-endian': true,
  chained: true,
  'chain-failed': true,
  store: true,
  deadline: true,
  spool: true,
  killed: true,
  'pipe-limit': true,
  'pipe-failed': true,
  failed: true,
}

const SOURCES: Record<SourceName, true> = {
  cgroup: true,
  'systemd-cgroup': true,
  'containerd-bundle': true,
  'containers-storage': true,
  'docker-config': true,
  'containerd-cri': true,
  'crio-cri': true,
  'docker-api': true,
  'podman-api': true,
}

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0))
const sha256 = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/))
const runtime = v.picklist(['containerd', 'docker', 'crio', 'podman'])
const sources = v.array(
  v.looseObject({
    source: v.picklist(Object.keys(SOURCES) as SourceName[]),
    answered: v.boolean(),
    milliseconds: v.number(),
    detail: v.exactOptional(v.string()),
  }),
)

const texts = v.record(v.string(), v.string())
const container = {
  containerId: v.string(),
  runtime,
  image: v.exactOptional(v.string()),
  imageDigest: v.exactOptional(v.string()),
  restartCount: v.exactOptional(count),
  logPath: v.exactOptional(v.string()),
  labels: v.exactOptional(texts),
  annotations: v.exactOptional(texts),
}

const workload = v.variant('kind', [
  v.looseObject({
    kind: v.literal('pod'),
    namespace: v.string(),
    pod: v.string(),
    podUid: v.exactOptional(v.string()),
    container: v.string(),
    ...container,
    sources,
  }),
  v.looseObject({ kind: v.literal('container'), container: v.string(), ...container, sources }),
  v.looseObject({
    kind: v.literal('host'),
    unit: v.exactOptional(v.string()),
    slice: v.exactOptional(v.string()),
    user: v.exactOptional(v.string()),
    sources,
  }),
  v.looseObject({
    kind: v.literal('unknown'),
    containerId: v.exactOptional(v.string()),
    podUid: v.exactOptional(v.string()),
    reason: v.string(),
    sources,
  }),
])

const policy = v.looseObject({
  capture: v.picklist(['full', 'mini', 'record', 'off']),
  coreBytesMax: count,
  rate: v.exactOptional(v.looseObject({ cores: count, seconds: count })),
  rule: v.exactOptional(count),
  from: v.looseObject({
    capture: v.exactOptional(v.string()),
    coreBytesMax: v.exactOptional(v.string()),
    rate: v.exactOptional(v.string()),
  }),
})

const crash = v.looseObject({
  pid: count,
  tid: count,
  signal: count,
  signalName: v.string(),
  coreRlimitBytes: v.pipe(v.string(), v.regex(/^(?:\d+|unlimited)$/)),
  dumpable: count,
  uid: count,
  gid: count,
  hostname: v.string(),
  pidfd: v.picklist(['verified', 'absent', 'not-a-pidfd', 'other-process']),
})

const process = v.looseObject({
  comm: v.string(),
  exe: v.string(),
  cmdline: v.array(v.string()),
  cwd: v.string(),
  root: v.string(),
  cgroup: v.string(),
  startTimeTicks: v.exactOptional(count),
  ppid: v.exactOptional(count),
  threads: v.exactOptional(count),
  environ: v.exactOptional(texts),
  raw: v.exactOptional(texts),
})

const trimmed = v.looseObject({
  bytesDropped: count,
  mappings: v.array(
    v.looseObject({
      start: v.string(),
      end: v.string(),
      bytesKept: count,
      bytesDropped: count,
      path: v.exactOptional(v.string()),
    }),
  ),
  mappingsOmitted: count,
})

const core = v.looseObject({
  key: v.literal('core.zst'),
  complete: v.boolean(),
  bytesExpected: count,
  bytesReceived: count,
  bytesStored: count,
  sha256Stored: sha256,
  codec: v.picklist(['zstd-napi', 'runtime']),
  frames: count,
  frameBytes: count,
  segments: count,
  threads: count,
  machine: v.string(),
  trimmed: v.exactOptional(trimmed),
})

const stacks = v.looseObject({
  modules: v.array(v.looseObject({ path: v.string(), buildId: v.exactOptional(v.string()) })),
  threads: v.array(
    v.looseObject({
      tids: v.array(v.number()),
      frames: v.array(
        v.looseObject({
          pc: v.string(),
          module: v.exactOptional(count),
          offset: v.exactOptional(v.string()),
          function: v.exactOptional(v.string()),
        }),
      ),
      end: v.string(),
    }),
  ),
  threadsOmitted: count,
})

const hex = v.pipe(v.string(), v.regex(/^[0-9a-f]{1,128}$/))

const files = v.looseObject({
  mapped: v.array(
    v.looseObject({
      path: v.string(),
      raw: v.exactOptional(v.string()),
      start: hex,
      bytes: v.exactOptional(count),
      buildId: v.exactOptional(hex),
      sha256: v.exactOptional(sha256),
      key: v.exactOptional(v.string()),
      why: v.exactOptional(v.string()),
    }),
  ),
  mappedOmitted: count,
  linkMap: v.array(v.looseObject({ name: v.string(), file: count })),
  executable: v.exactOptional(count),
})

// Its type keeps it true to the interface; `looseObject` keeps fields that a later handler adds.
const manifest: v.GenericSchema<unknown, Manifest> = v.looseObject({
  version: v.literal(MANIFEST_VERSION),
  id: v.string(),
  time: v.pipe(v.string(), v.isoTimestamp()),
  node: v.string(),
  crash,
  process: v.nullable(process),
  processGone: v.exactOptional(v.string()),
  workload,
  policy: v.exactOptional(policy),
  outcome: v.picklist(['full', 'trimmed', 'mini', 'record']),
  reason: v.nullable(v.picklist(Object.keys(REASONS) as RefusalReason[])),
  reasonText: v.nullable(v.string()),
  core: v.nullable(core),
  mini: v.exactOptional(
    v.nullable(
      v.looseObject({
        entry: v.literal('mini.core'),
        bytes: count,
        bytesDropped: count,
        bytesUnreadable: count,
      }),
    ),
  ),
  signature: v.exactOptional(v.string()),
  stacks: v.exactOptional(stacks),
  files: v.exactOptional(files),
  size: v.looseObject({ bytesExpected: v.nullable(count) }),
  kit: v.nullable(
    v.looseObject({ key: v.literal('kit.tar.zst'), bytes: count, sha256Stored: v.exactOptional(sha256) }),
  ),
  delivery: v.exactOptional(v.looseObject({ by: v.literal('sweep'), at: v.string(), why: v.string() })),
  dropped: v.exactOptional(v.looseObject({ count, first: v.string(), last: v.string() })),
  durations: v.record(v.string(), v.number()),
  warnings: v.array(v.string()),
  handler: v.looseObject({ version: v.string() }),
})

const versioned = v.looseObject({ version: v.pipe(v.number(), v.integer(), v.minValue(1)) })

function parseJson(bytes: Uint8Array, key: string): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    throw new CoreliftError('E_MANIFEST', `${key} is no JSON`, {
      hint: 'it was cut or replaced in the store',
      cause,
    })
  }
}

/**
 * Reads a manifest; fields that it has beyond the specification are kept.
 * @param key - What errors call it.
 * @throws CoreliftError `E_MANIFEST` for anything that is none, and for one of a newer version.
 */
export function decodeManifest(bytes: Uint8Array, key = 'the manifest'): Manifest {
  const json = parseJson(bytes, key)
  if (v.is(versioned, json) && json.version > MANIFEST_VERSION) {
    throw new CoreliftError('E_MANIFEST', `${key} has version ${json.version}, newer than this corelift`, {
      hint: `this corelift reads version ${MANIFEST_VERSION}: use a newer one`,
    })
  }
  const result = v.safeParse(manifest, json, { abortEarly: true })
  if (result.success) return result.output
  const [issue] = result.issues
  const path = v.getDotPath(issue)
  throw new CoreliftError('E_MANIFEST', `${key} is not as specified: ${path ?? 'whole'}: ${issue.message}`, {
    hint: 'docs/format.md specifies it; another program may have written it',
  })
}
