// What resolve.ts asks of a source. A source is one file that exports one `Source`; resolve.ts lists them. What a source
// says goes through forms.ts, so that nothing else than what has its form comes out of this folder.
import type { Config } from '../config/table.ts'
import type { Runtime, SourceName } from '../crash.ts'

export type WorkloadConfig = Config['workload']

/** Names that a source gives a container, each of the form that its system demands. */
export type ContainerNames =
  | {
      readonly kind: 'pod'
      readonly namespace: string
      readonly pod: string
      readonly podUid?: string
      readonly container: string
    }
  | { readonly kind: 'container'; readonly container: string }

/** What a source knows of a container. */
export interface ContainerFacts {
  readonly runtime: Runtime
  readonly names: ContainerNames
  readonly image?: string
  readonly imageDigest?: string
  readonly restartCount?: number
  readonly logPath?: string
  /** All that the source has: the pod's, or those of a container without one. Absent where it cannot know. */
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  /** The pod's own container. */
  readonly sandboxId?: string
  /** The container's first process, as the runtime noted it in its own pid namespace. */
  readonly firstPid?: number
}

export interface SourceAnswer {
  /** Absent when the source does not know the container, or says nothing usable about it. */
  readonly facts?: ContainerFacts
  /** Why there are no facts, or what was odd about them. */
  readonly detail?: string
}

/** Which container is asked about. */
export interface ContainerRef {
  /** 64 lower-case hex digits; in a containerd namespace of its own, whatever was chosen there: PLAIN_ID. */
  readonly containerId: string
  /** containerd's namespace, where the cgroup names it. */
  readonly namespace?: string
  /** The pod's own container, where a file told it. */
  readonly sandboxId?: string
  /** No file named it: the answer is believed by its first process, even if that takes the source longer to tell. */
  readonly wantsFirstPid?: boolean
}

export interface Source {
  readonly name: SourceName
  /** Whose containers it may know. */
  readonly runtimes: readonly Runtime[]
  /**
   * Looks a container up. Expected failures are answers; what it throws counts as no answer.
   * @param signal - Aborted at the deadline: frees whatever would keep the process alive.
   */
  ask(container: ContainerRef, config: WorkloadConfig, signal: AbortSignal): Promise<SourceAnswer>
}
