// The forms of what a runtime says. Labels, names and paths are in the end somebody's input: what has not its form
// counts as absent, and is not repeated in messages.
import type { Runtime } from '../crash.ts'
import type { ContainerFacts, SourceAnswer } from './source.ts'

/**
 * Most that is read of a source's answer. One is about 10 KiB, with thousands of mounts and variables still below
 * this; what is longer is no answer, and must not fill the handler's memory.
 */
export const ANSWER_BYTES_MAX = 4 * 1024 * 1024

/** What every runtime gives a container that it names itself. */
export const CONTAINER_ID = /^[0-9a-f]{64}$/
/** What people may call a container, or a namespace, of containerd's: its package identifiers. */
export const PLAIN_ID = /^(?=.{1,76}$)[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*$/

const DNS_LABEL = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?'

/**
 * Name of a pod's own (pause) container, which has none in Kubernetes. `POD` is what the kubelet and cAdvisor have
 * always called it; no container can have the name, for theirs are lower case.
 */
export const SANDBOX_CONTAINER = 'POD'

/**
 * RFC 1123 as Kubernetes applies it ("Object Names and IDs"), the pod's UID as in cgroup.ts, plain containers' names as
 * in docker's daemon/names package and containerd's identifiers package. An image's name has no fixed grammar across
 * runtimes (digest, short name, reference): printable ASCII, in a length that keeps a manifest small.
 */
const FORMS = {
  namespace: new RegExp(`^${DNS_LABEL}$`),
  pod: new RegExp(`^(?=.{1,253}$)${DNS_LABEL}(?:\\.${DNS_LABEL})*$`),
  podUid: /^(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32})$/,
  podContainer: new RegExp(`^(?:${DNS_LABEL}|${SANDBOX_CONTAINER})$`),
  plainContainer: /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,252}$/,
  image: /^[!-~]{1,512}$/,
  imageDigest: /^[!-~]{1,512}$/,
  sandboxId: CONTAINER_ID,
  /** Absolute, and going nowhere but down. */
  logPath: /^(?=.{1,4096}$)(?:\/(?!\.{1,2}(?:\/|$))[^/\p{Cc}]+)+$/u,
} as const satisfies Record<string, RegExp>
type Form = keyof typeof FORMS

/** What a source read; nothing says that a field is there or of its type. A text that is empty counts as absent. */
export interface RawFacts {
  /** A pod's container, where any of it is there. */
  readonly pod?: { readonly namespace: unknown; readonly pod: unknown; readonly podUid: unknown } | undefined
  /** The container's name; `undefined` in a pod: its sandbox. */
  readonly container: unknown
  readonly image?: unknown
  /** With or without its algorithm. */
  readonly imageDigest?: unknown
  /** A number, or its digits. */
  readonly restartCount?: unknown
  readonly logPath?: unknown
  readonly labels?: unknown
  readonly annotations?: unknown
  readonly sandboxId?: unknown
  /** A number, or its digits. */
  readonly firstPid?: unknown
}

/**
 * Makes an answer of what has its form.
 * @param where - What carries the values, for the detail: "annotations", "labels".
 * @returns No facts unless a pod's namespace, name and container are all there, or a plain container's name.
 */
export function answerOf(runtime: Runtime, raw: RawFacts, where: string): SourceAnswer {
  const malformed: string[] = []
  const checked = (form: Form, value: unknown): string | undefined => {
    if (value === undefined || value === null || value === '') return undefined
    if (typeof value === 'string' && FORMS[form].test(value)) return value
    malformed.push(form)
    return undefined
  }
  const names =
    raw.pod === undefined
      ? { kind: 'container', container: checked('plainContainer', raw.container) }
      : {
          kind: 'pod',
          namespace: checked('namespace', raw.pod.namespace),
          pod: checked('pod', raw.pod.pod),
          container: checked('podContainer', raw.container ?? SANDBOX_CONTAINER),
        }
  const isNamed = !Object.values(names).includes(undefined)
  const facts = withoutUndefined({
    runtime,
    names: withoutUndefined({ ...names, podUid: raw.pod && checked('podUid', raw.pod.podUid) }),
    image: checked('image', raw.image),
    imageDigest: checked('imageDigest', digestOf(raw.imageDigest)),
    restartCount: countOf(raw.restartCount),
    logPath: checked('logPath', raw.logPath),
    labels: textsOf(raw.labels),
    annotations: textsOf(raw.annotations),
    sandboxId: checked('sandboxId', raw.sandboxId),
    firstPid: countOf(raw.firstPid),
  }) as ContainerFacts
  const detail = malformed.length > 0 ? `${where} not of their form: ${malformed.join(', ')}` : undefined
  if (!isNamed) return { detail: detail ?? `${where} do not name the container` }
  return detail === undefined ? { facts } : { facts, detail }
}

/** CRI-O and podman leave the algorithm of an image's id out: it is always SHA-256. */
function digestOf(value: unknown): unknown {
  return typeof value === 'string' && /^[0-9a-f]{64}$/.test(value) ? `sha256:${value}` : value
}

/** A count that JSON or a file has, as a number or in digits. */
function countOf(value: unknown): number | undefined {
  const count = typeof value === 'string' && /^\d{1,10}$/.test(value.trim()) ? Number(value) : value
  return Number.isSafeInteger(count) && (count as number) >= 0 ? (count as number) : undefined
}

/** The texts of an object; what is none is left out. */
function textsOf(value: unknown): Readonly<Record<string, string>> | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  // From entries: a label may be called `__proto__`.
  return Object.fromEntries(Object.entries(value).filter(([, text]) => typeof text === 'string'))
}

function withoutUndefined(object: object): object {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined))
}
