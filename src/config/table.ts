// Every configuration key: its type, unit, default and text. Types, checks, the example file, `config show` and the
// documentation are made from this table and nowhere else.

import { GIB, KIB, MIB, TIB } from '../units.ts'
import type { ConfigKey, Fields, RuleOf } from './key-types.ts'
import { POLICY_ACTIONS, POLICY_MATCHERS } from './policy-table.ts'

const absolutePath = { pattern: /^\/\P{Cc}*$/u, words: 'an absolute path' }
const glob = { pattern: /^\P{Cc}+$/u, words: 'names, in which * stands for any text' }
const httpUrl = { pattern: /^https?:\/\/[^/\s]+\/?$/, words: 'http://HOST[:PORT] or https://HOST[:PORT]' }
const byteRation = { type: 'size', min: 0, max: 1024 * TIB } as const

export const CONFIG_TABLE = {
  store: {
    url: {
      type: 'text',
      default: undefined,
      example: 's3://my-bucket/my-cluster',
      form: {
        pattern: /^(s3:\/\/[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](\/[A-Za-z0-9!_.*'()=/-]*)?|file:\/\/\/\P{Cc}*)$/u,
        words: 's3://BUCKET[/PREFIX] or file:///DIRECTORY',
      },
      text: 'Where crashes go. The prefix names the cluster. A directory belongs on a big disk that is not the root file system.',
    },
    endpoint: {
      type: 'text',
      default: undefined,
      example: 'https://s3.example.com',
      form: httpUrl,
      text: 'S3 server, where it is not AWS.',
    },
    region: {
      type: 'text',
      default: undefined,
      example: 'eu-central-1',
      form: { pattern: /^[a-z0-9-]{1,64}$/, words: 'a region name such as eu-central-1' },
      text: 'Region of the bucket. Unset: AWS_REGION, then us-east-1.',
    },
    path_style: {
      type: 'boolean',
      default: false,
      text: 'Address the bucket in the path instead of the host name; most S3 servers outside AWS need it.',
    },
    credentials_file: {
      type: 'text',
      default: undefined,
      example: '/etc/corelift/credentials',
      form: absolutePath,
      text: "Credentials in AWS's shared format (profile `default`). Unset: the usual AWS chain (environment, profile, web identity, instance role).",
    },
    ca_file: {
      type: 'text',
      default: undefined,
      example: '/etc/corelift/ca.pem',
      form: absolutePath,
      text: "Certificate authorities (PEM) that sign the store's certificate, in place of the public ones.",
    },
    encryption: {
      type: 'choice',
      choices: ['bucket-default', 'sse-s3', 'sse-kms'],
      default: 'bucket-default',
      text: 'Server-side encryption to ask for.',
    },
    kms_key_id: {
      type: 'text',
      default: undefined,
      example: 'arn:aws:kms:eu-central-1:111122223333:key/1234',
      form: { pattern: /^[A-Za-z0-9:/_-]{1,2048}$/, words: 'a KMS key id, alias or ARN' },
      text: 'Key for encryption = "sse-kms". Unset: the account\'s key for S3.',
    },
    allow_root_filesystem: {
      type: 'boolean',
      default: false,
      text: 'Allow a file:// store on the root file system. A crash loop can then fill the disk that the node lives on.',
    },
    request_timeout_seconds: {
      type: 'integer',
      default: 120,
      min: 1,
      max: 3600,
      text: 'How long one request may take, a whole part included: 120 s carry a part of 5 MiB at 44 KB/s.',
    },
    retry_seconds: {
      type: 'integer',
      default: 60,
      min: 0,
      max: 3600,
      text: 'How long a failing request is tried again, with growing pauses. It outlives a restart of the store.',
    },
  },
  budget: {
    core_bytes_max: {
      type: 'size',
      default: 32 * GIB,
      min: 0,
      max: 1024 * TIB,
      text: 'Largest core to store, uncompressed, known from its head before the body is read. A larger one is trimmed to it, by value: every stack first. Below 32 KiB: no memory at all, a record.',
    },
    slots: {
      type: 'integer',
      default: 4,
      min: 1,
      max: 1024,
      text: 'How many full and trimmed cores are streamed at once on this node. One pod has all but one of them at most, so that another finds one free. Mini cores take none.',
    },
    slot_wait_seconds: {
      type: 'integer',
      default: 10,
      min: 0,
      max: 3600,
      text: 'How long a crash waits for a slot; the crashed process is held meanwhile. Then it leaves a mini core, and so it does at once where four for each slot wait already.',
    },
    signature_full: {
      type: 'rate',
      default: { cores: 3, seconds: 3600 },
      text: 'Full or trimmed cores of the same crash: the same top frames, in containers of the same name in the same namespace, so that the replicas of a deployment share it. What is over it leaves a mini core. Every rate begins full and is refilled evenly: the first crashes of a loop are kept, and newer ones as they come due.',
    },
    signature_mini: {
      type: 'rate',
      default: { cores: 20, seconds: 3600 },
      text: 'Mini cores of the same crash; what is over it leaves a record.',
    },
    workload_full: {
      type: 'rate',
      default: { cores: 10, seconds: 3600 },
      text: 'Full or trimmed cores of one container of one pod, or of one unit of the host; what is over it leaves a mini core. The rate of a rule that matches takes its place.',
    },
    workload_mini: {
      type: 'rate',
      default: { cores: 60, seconds: 3600 },
      text: 'Mini cores of the same; what is over it leaves a record.',
    },
    namespace_bytes_per_hour: {
      ...byteRation,
      default: 64 * GIB,
      text: 'What the full and trimmed cores of a namespace may have, uncompressed, evenly refilled; no container gets more than half of it. A core that is over it is trimmed to what is left, and below 16 MiB a mini core. Processes of the host, containers without a pod and unknown ones have a namespace each: `_host`, `_container`, `_unknown`.',
    },
    namespace_bytes_per_day: {
      ...byteRation,
      default: 256 * GIB,
      text: 'The same, for a day.',
    },
    node_bytes_per_hour: {
      ...byteRation,
      default: 256 * GIB,
      text: 'The same, for all cores of this node.',
    },
    node_bytes_per_day: {
      ...byteRation,
      default: TIB,
      text: 'The same, for all cores of this node and a day.',
    },
    memory_available_min: {
      type: 'size',
      default: 256 * MIB,
      min: 0,
      max: 1024 * TIB,
      text: 'Below so much available memory (MemAvailable) a crash leaves a mini core. 0: never.',
    },
    memory_pressure_max: {
      type: 'integer',
      default: 50,
      min: 1,
      max: 100,
      text: 'Above so many percent of memory pressure (some avg10 of /proc/pressure/memory: how much of the last ten seconds some process waited for memory) a crash leaves a mini core. 100: never.',
    },
    state_dir: {
      type: 'text',
      default: '/run/corelift',
      form: absolutePath,
      text: 'Root-only directory on a tmpfs that holds the slots, and the ledger of what was let through and refused since boot.',
    },
  },
  hold: {
    seconds_max: {
      type: 'integer',
      default: 60,
      min: 1,
      max: 3600,
      text: 'Longest time that a crashed process is held, whatever the store does. Then what was read of its core is stored as an incomplete one; the mini core is whole. With a spool it is only reached by a core that takes so long to read.',
    },
  },
  spool: {
    dir: {
      type: 'text',
      default: undefined,
      example: '/mnt/scratch/corelift',
      form: absolutePath,
      text: 'Root-only directory for what the store did not take in time, on a disk that is not the root file system, or on a tmpfs of bounded size; it is made when its parent is there. Unset: there is no spool, and a store that stays away costs cores.',
    },
    bytes_max: {
      type: 'size',
      default: 20 * GIB,
      min: 0,
      max: 1024 * TIB,
      text: 'Most that the spool may hold, compressed. When it is full, the oldest cores of the workload that has most in it go first, then kits, and records last.',
    },
    free_bytes_min: {
      type: 'size',
      default: GIB,
      min: 0,
      max: 1024 * TIB,
      text: "What the spool leaves free on its disk for the disk's other users.",
    },
    age_max: {
      type: 'duration',
      default: 7 * 86_400,
      min: 60,
      max: 3650 * 86_400,
      text: 'What could not be sent for so long is dropped.',
    },
    allow_root_filesystem: {
      type: 'boolean',
      default: false,
      text: 'Allow a spool on the root file system. A store that stays away can then fill the disk that the node lives on, up to bytes_max.',
    },
  },
  sweep: {
    jitter_seconds: {
      type: 'integer',
      default: 20,
      min: 0,
      max: 3600,
      text: 'A sweep that has something to send waits for a random part of this first, so that the nodes of a fleet do not come to the store at once.',
    },
    grace_seconds: {
      type: 'integer',
      default: 60,
      min: 0,
      max: 86_400,
      text: 'How long after its last sign of life what a killed handler left behind is cleared up.',
    },
  },
  mini: {
    bytes_max: {
      type: 'size',
      default: MIB,
      min: 64 * KIB,
      max: 256 * MIB,
      text: 'Size of a mini core, uncompressed: every thread, no heap. It is read into memory.',
    },
    bytes_limit: {
      type: 'size',
      default: 32 * MIB,
      min: 64 * KIB,
      max: 256 * MIB,
      text: 'What it may grow to for a process of many threads. Where it is below bytes_max, that holds.',
    },
  },
  binaries: {
    enabled: {
      type: 'boolean',
      default: true,
      text: 'Whether executables and libraries of crashed processes are stored, each once for all nodes: without them gdb shows addresses where the image is not at hand. They are sent when the crash is safe and its process gone.',
    },
    file_bytes_max: {
      type: 'size',
      default: 256 * MIB,
      min: 0,
      max: TIB,
      text: 'Largest file to store, uncompressed.',
    },
    crash_bytes_max: {
      type: 'size',
      default: GIB,
      min: 0,
      max: TIB,
      text: 'What one crash may send, uncompressed; the executable first, then the smallest. The next crash sends more.',
    },
    hour_bytes_max: {
      type: 'size',
      default: 4 * GIB,
      min: 0,
      max: 1024 * TIB,
      text: 'What all crashes of this node may send in an hour, uncompressed.',
    },
    seconds_max: {
      type: 'integer',
      default: 60,
      min: 1,
      max: 3600,
      text: 'How long a handler sends them. Files that were deleted keep their disk space until it ends.',
    },
  },
  capture: {
    honor_core_rlimit: {
      type: 'boolean',
      default: true,
      text: 'Whether a soft RLIMIT_CORE counts: below 32 KiB the process leaves a record, below the size of its core that is trimmed to it. false: it does not.',
    },
    environ: {
      type: 'list',
      default: [],
      form: { pattern: /^[A-Za-z_][A-Za-z0-9_]*$/, words: 'names of environment variables' },
      text: 'Environment variables to keep. None by default: environments hold secrets.',
    },
    log_lines: {
      type: 'integer',
      default: 200,
      min: 0,
      max: 200,
      text: "How many of the last lines of the container's log go into the kit, of its last 256 KiB. 0: none; logs may hold secrets.",
    },
    zstd_level: {
      type: 'integer',
      default: 1,
      min: 1,
      max: 19,
      text: 'Compression level. Higher levels hold the crashed process longer.',
    },
    zstd: {
      type: 'choice',
      choices: ['addon', 'runtime'],
      default: 'addon',
      text: "Which zstd compresses: the embedded addon, or the runtime's own, slower, should the addon not load on a host.",
    },
  },
  policy: {
    pod_annotations: {
      type: 'boolean',
      default: true,
      text: 'Whether pods may lower what is kept of their own crashes with the annotations corelift.io/capture and corelift.io/core-bytes-max. They never raise it.',
    },
    // The last of its section: in TOML, what follows [[policy.rules]] belongs to a rule.
    rules: {
      type: 'rules',
      words: 'tables, each a rule below its own line [[policy.rules]]',
      default: [],
      matchers: POLICY_MATCHERS,
      actions: POLICY_ACTIONS,
      example: [
        { namespace: ['kube-*'], capture: 'record' },
        {
          label: { app: 'cart*', tier: 'web' },
          signal: [3, 6],
          comm: ['java'],
          coreBytesMax: 4 * GIB,
          rate: { cores: 5, seconds: 3600 },
        },
      ],
      text: 'What is kept of which crash. The first rule that matches decides, alone; without one the other sections hold. In its globs, `*` stands for any text and `?` for one character. Rules stand in the file only.',
    },
  },
  handler: {
    nice: {
      type: 'integer',
      default: 10,
      min: 0,
      max: 19,
      text: 'Priority that the handler lowers itself to.',
    },
    oom_score_adj: {
      type: 'integer',
      default: 500,
      min: 0,
      max: 1000,
      text: 'The handler goes before the workloads when memory runs out.',
    },
    cgroup: {
      type: 'text',
      default: '/sys/fs/cgroup/corelift.slice',
      form: absolutePath,
      text: 'Directory of a cgroup for the handler to join; by default that of the slice that `corelift install` sets up. Where there is none it stays in the root cgroup, as the kernel starts it.',
    },
  },
  workload: {
    timeout_ms: {
      type: 'integer',
      default: 500,
      min: 1,
      max: 60_000,
      text: "Longest wait for all that the sockets of container runtimes say, together; their files have ten times as long. A runtime that does not answer costs a crash this, and its pod's labels.",
    },
    labels: {
      type: 'list',
      default: ['app', 'app.kubernetes.io/*', 'com.docker.compose.*'],
      form: glob,
      text: 'Labels to keep, of the pod or of a container without one. `*` stands for any text.',
    },
    annotations: {
      type: 'list',
      default: ['corelift.io/*'],
      form: glob,
      text: 'Annotations to keep.',
    },
    containerd_state_dir: {
      type: 'text',
      default: '/run/containerd',
      form: absolutePath,
      text: "containerd's `state` directory, which holds the bundles of running containers. k3s: /run/k3s/containerd.",
    },
    containerd_socket: {
      type: 'text',
      default: '/run/containerd/containerd.sock',
      form: absolutePath,
      text: "containerd's socket, for what its CRI plugin knows. k3s: /run/k3s/containerd/containerd.sock.",
    },
    containers_storage_dirs: {
      type: 'list',
      default: ['/run/containers/storage', '/var/lib/containers/storage'],
      form: { ...absolutePath, words: 'absolute paths' },
      text: "Where CRI-O and podman keep what runs: containers/storage's `runroot` and `graphroot`.",
    },
    crio_socket: {
      type: 'text',
      default: '/run/crio/crio.sock',
      form: absolutePath,
      text: 'Socket of CRI-O.',
    },
    podman_socket: {
      type: 'text',
      default: '/run/podman/podman.sock',
      form: absolutePath,
      text: "Socket of podman's API service, where one runs.",
    },
    docker_root: {
      type: 'text',
      default: '/var/lib/docker',
      form: absolutePath,
      text: "The Docker Engine's `data-root`.",
    },
    docker_socket: {
      type: 'text',
      default: '/run/docker.sock',
      form: absolutePath,
      text: 'Socket of the Docker Engine.',
    },
  },
  metrics: {
    textfile_dir: {
      type: 'text',
      default: undefined,
      example: '/run/node_exporter/textfile',
      form: absolutePath,
      text: "Directory that node_exporter's textfile collector reads: each sweep writes corelift.prom into it, some KB. It must be there. Unset: no metrics.",
    },
  },
  notify: {
    webhook_url: {
      type: 'text',
      default: undefined,
      example: 'https://hooks.example.com/services/T0/B0/secret',
      form: { pattern: /^https?:\/\/[^\s]+$/, words: 'http://… or https://…' },
      text: "Where sweeps send messages about crashes. Whoever knows the URL can send there too: where this file is not only root's to read, take webhook_url_file. Unset: nowhere.",
    },
    webhook_url_file: {
      type: 'text',
      default: undefined,
      example: '/etc/corelift/webhook-url',
      form: absolutePath,
      text: 'A file that has the URL in its first line, where webhook_url is unset.',
    },
    format: {
      type: 'choice',
      choices: ['slack', 'cloudevents'],
      default: 'slack',
      text: 'A text for Slack and for those that take the same, or an event in JSON for programs.',
    },
    interval_seconds: {
      type: 'integer',
      default: 300,
      min: 1,
      max: 86_400,
      text: 'Shortest time between two messages of this node. Crashes in between are in the next one, those of the same kind on one line.',
    },
  },
  node: {
    name: {
      type: 'text',
      default: undefined,
      example: 'node-17',
      form: { pattern: /^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$/, words: 'a host name' },
      text: 'Name of this node in the store. Unset: its host name.',
    },
    enforce_core_pattern: {
      type: 'boolean',
      default: false,
      text: 'Whether a sweep sets kernel.core_pattern back that somebody else has changed since `corelift install`. Either way it is logged.',
    },
    chain_host_processes: {
      type: 'boolean',
      default: false,
      text: 'Whether crashes of processes that are in no container go to the handler that was there before `corelift install` (systemd-coredump, apport), which may take ten minutes whatever hold.seconds_max says. They leave a record with their stacks here; a mini core, where that handler fails. A rule with `capture = "off"` goes before.',
    },
  },
} as const satisfies Record<string, Record<string, ConfigKey>>

type Table = typeof CONFIG_TABLE

/** Effective values: `budget.core_bytes_max` in the file is `config.budget.coreBytesMax` here. */
export type Config = { readonly [S in keyof Table]: Fields<Table[S]> }

/** One of `[[policy.rules]]`: what it does not say is absent. */
export type PolicyRule = RuleOf<Table['policy']['rules']>

/** `budget.core_bytes_max` and the like. */
export type ConfigKeyName = {
  [S in keyof Table & string]: `${S}.${keyof Table[S] & string}`
}[keyof Table & string]
