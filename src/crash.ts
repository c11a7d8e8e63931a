// The domain's words as types. No logic: whatever computes one of these lives in the folder that owns it.

/** Bytes that a workload chose: no encoding may be assumed, and no control byte is excluded. */
export type HostileBytes = Uint8Array

/** What the kernel says on the handler's command line: core(5), "Naming of core dump files". */
export interface CrashFacts {
  /** In the initial pid namespace (%P). */
  readonly pid: number
  /** Thread that crashed, in the initial pid namespace (%I). */
  readonly tid: number
  /** Signal number (%s). */
  readonly signal: number
  /** Seconds since the epoch (%t). */
  readonly timeSeconds: number
  /** Soft RLIMIT_CORE in bytes (%c): 64 bits, RLIM_INFINITY is 2^64 − 1. */
  readonly coreRlimitBytes: bigint
  /** 1 ordinary, 2 readable by root only (set-id and the like) (%d). */
  readonly dumpable: number
  /** Real ids in the initial user namespace (%u, %g). */
  readonly uid: number
  readonly gid: number
  /** UTS host name of the crasher: the pod's, in a pod (%h). */
  readonly hostname: string
  /** Number of the inherited pidfd (%F), where the kernel gave one (6.16). */
  readonly pidfd: number | undefined
}

/** What the inherited pidfd proves about /proc/<pid>: see kernel/pidfd.ts. */
export type PidfdState = 'verified' | 'absent' | 'not-a-pidfd' | 'other-process'

export type Runtime = 'containerd' | 'docker' | 'crio' | 'podman'

/** Whoever is asked about a workload. */
export type SourceName =
  | 'cgroup'
  | 'systemd-cgroup'
  | 'containerd-bundle'
  | 'containers-storage'
  | 'docker-config'
  | 'containerd-cri'
  | 'crio-cri'
  | 'docker-api'
  | 'podman-api'

/** Where a fact about a workload came from, or why it did not. */
export interface SourceReport {
  readonly source: SourceName
  readonly answered: boolean
  readonly milliseconds: number
  /** Why it did not answer, what was odd about the answer, or why it was not used. */
  readonly detail?: string
}

/** What is known of a container beside its names. */
export interface ContainerDetails {
  readonly containerId: string
  readonly runtime: Runtime
  readonly image?: string
  /** What the runtime calls the image's content: `registry/name@sha256:…` or `sha256:…`. */
  readonly imageDigest?: string
  /** How often the container was started again. */
  readonly restartCount?: number
  /** The container's log on the node. */
  readonly logPath?: string
  /** The configured selection of them; a pod's where there is one. */
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
}

/** Who crashed. */
export type Workload = (
  | ({
      readonly kind: 'pod'
      readonly namespace: string
      readonly pod: string
      readonly podUid?: string
      readonly container: string
    } & ContainerDetails)
  /** A container that belongs to no pod. */
  | ({ readonly kind: 'container'; readonly container: string } & ContainerDetails)
  | {
      readonly kind: 'host'
      /** systemd unit (`nginx.service`), where the process is in one. */
      readonly unit?: string
      readonly slice?: string
      /** Name of the real user id, where /etc/passwd has one. */
      readonly user?: string
    }
  | {
      readonly kind: 'unknown'
      readonly containerId?: string
      readonly podUid?: string
      readonly reason: string
    }
) & { readonly sources: readonly SourceReport[] }

/** Where a crash is kept and found: names of a pod, or what stands in for them (workload/place.ts). */
export interface Place {
  readonly namespace: string
  readonly pod: string
  readonly container: string
}

/** What became of the memory: the rungs of the ladder, from all of it down to none. */
export type Outcome = 'full' | 'trimmed' | 'mini' | 'record'

/** Why a crash has less than its full core. */
export type RefusalReason =
  | 'rlimit-core' // RLIMIT_CORE is below a page, or below the size of the core
  | 'policy' // a rule or the pod's annotation asks for less than a core
  | 'memory' // the node has less available than budget.memory_available_min
  | 'pressure' // the node's memory pressure is above budget.memory_pressure_max
  | 'size' // over budget.core_bytes_max, or what a rule or the pod's annotation has in its place
  | 'signature' // the same crash more often than budget.signature_full, or budget.signature_mini
  | 'rate' // the same container more often than budget.workload_full (or its rule's rate), or budget.workload_mini
  | 'bytes' // over what the workload, its namespace or the node may send in an hour or a day
  | 'slots' // none free within budget.slot_wait_seconds
  | 'empty' // the kernel sent nothing
  | 'head-truncated' // the core ended before its head did
  | 'not-elf' // what came is no ELF core
  | 'head-invalid' // an ELF core whose head contradicts itself
  | 'elf-32bit' // a core of a 32-bit process
  | 'elf-big-endian'
  | 'chained' // it went to the handler that was there before (node.chain_host_processes)
  | 'chain-failed' // … which ended with an error
  | 'store' // the store did not take the core
  | 'deadline' // it was read for hold.seconds_max, and what came by then was kept
  | 'spool' // the spool lost it or had to make room, or it became too old there
  | 'killed' // the handler was, before it was done
  | 'pipe-limit' // the kernel started no handler: over core_pipe_limit
  | 'pipe-failed' // the kernel could not start the handler
  | 'failed' // the handler did: a bug
