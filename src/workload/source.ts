// What resolve.ts asks of a source of names. A source is one file that exports one `Source`; resolve.ts lists them.
import type { Config } from '../config/table.ts'
import type { Runtime, SourceReport } from '../crash.ts'

export type WorkloadConfig = Config['workload']

/** Names that a source gives a container, each of the form that its system demands. */
export type ContainerNames = (
  | {
      readonly kind: 'pod'
      readonly namespace: string
      readonly pod: string
      readonly podUid?: string
      readonly container: string
    }
  | { readonly kind: 'container'; readonly container: string }
) & { readonly image?: string }

export interface SourceAnswer {
  /** Absent when the source does not know the container, or says nothing usable about it. */
  readonly names?: ContainerNames
  /** Why there are no names, or what was odd about them. */
  readonly detail?: string
}

export interface Source {
  readonly name: SourceReport['source']
  readonly runtime: Runtime
  /**
   * Looks a container up. Expected failures are answers; what it throws counts as no answer.
   * @param containerId - 64 lower-case hex digits.
   * @param signal - Aborted at the deadline: frees whatever would keep the process alive.
   */
  ask(containerId: string, config: WorkloadConfig, signal: AbortSignal): Promise<SourceAnswer>
}

/**
 * Most that is read of a source's answer. One is about 10 KiB, with thousands of mounts and variables still below
 * this; what is longer is no answer, and must not fill the handler's memory.
 */
export const ANSWER_BYTES_MAX = 4 * 1024 * 1024

const DNS_LABEL = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?'

/**
 * Name of a pod's own (pause) container, which has none in Kubernetes. `POD` is what the kubelet and cAdvisor have
 * always called it; no container can have the name, for theirs are lower case.
 */
export const SANDBOX_CONTAINER = 'POD'

/**
 * The forms of names: RFC 1123 as Kubernetes applies it ("Object Names and IDs"), the pod's UID as in cgroup.ts,
 * docker's from its daemon/names package. An image's name has no fixed grammar across runtimes (digest, short name,
 * reference): printable ASCII, in a length that keeps a manifest small.
 */
export const NAME_FORMS = {
  namespace: new RegExp(`^${DNS_LABEL}$`),
  pod: new RegExp(`^(?=.{1,253}$)${DNS_LABEL}(?:\\.${DNS_LABEL})*$`),
  podUid: /^(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32})$/,
  container: new RegExp(`^(?:${DNS_LABEL}|${SANDBOX_CONTAINER})$`),
  dockerName: /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,252}$/,
  image: /^[!-~]{1,512}$/,
} as const satisfies Record<string, RegExp>

/** A value whose form is checked, by the name of its form. */
export type FormedName = keyof typeof NAME_FORMS

/**
 * Keeps the values that have their form.
 * @param values - Whatever a runtime said; a value that is no text, or empty, counts as absent.
 * @returns The names, and the fields that had something else than their form. What that was is not repeated: it may
 * be hostile.
 */
export function checkNames<F extends FormedName>(
  values: Readonly<Record<F, unknown>>,
): { names: Partial<Record<F, string>>; malformed: F[] } {
  const names: Partial<Record<F, string>> = {}
  const malformed: F[] = []
  for (const form of Object.keys(values) as F[]) {
    const value = values[form]
    if (value === undefined || value === null || value === '') continue
    if (typeof value === 'string' && NAME_FORMS[form].test(value)) names[form] = value
    else malformed.push(form)
  }
  return { names, malformed }
}

/**
 * Puts a pod's names together as an answer.
 * @param found - As checkNames returned them.
 * @param where - What carries the names, for the detail: "annotations", "labels".
 * @returns No names unless namespace, pod and container are all there.
 */
export function podAnswer(
  found: {
    names: Partial<Record<'namespace' | 'pod' | 'podUid' | 'container' | 'image', string>>
    malformed: string[]
  },
  where: string,
): SourceAnswer {
  const { namespace, pod, container, podUid, image } = found.names
  const malformed =
    found.malformed.length > 0 ? `${where} not of their form: ${found.malformed.join(', ')}` : undefined
  if (namespace === undefined || pod === undefined || container === undefined)
    return { detail: malformed ?? `${where} do not name namespace, pod and container` }
  return {
    names: {
      kind: 'pod',
      namespace,
      pod,
      container,
      ...(podUid === undefined ? {} : { podUid }),
      ...(image === undefined ? {} : { image }),
    },
    ...(malformed === undefined ? {} : { detail: malformed }),
  }
}
