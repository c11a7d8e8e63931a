// Every configuration key: its type, unit, default and text. Types, checks, the example file, `config show` and the
// documentation are made from this table and nowhere else.

interface KeyBase<T> {
  /** What a reader of the example file needs to know; wrapped when printed. */
  readonly text: string
  /** Used when the file does not name the key; `undefined`: unset is a value of its own. */
  readonly default: T
}

export interface TextKey<T extends string | undefined = string | undefined> extends KeyBase<T> {
  readonly type: 'text'
  /** What the value must look like, and how to say so. */
  readonly form?: { readonly pattern: RegExp; readonly words: string }
  /** A value for the example file, where the default is unset. */
  readonly example?: string
}
export interface ChoiceKey<C extends string = string> extends KeyBase<C> {
  readonly type: 'choice'
  readonly choices: readonly C[]
}
export interface BooleanKey extends KeyBase<boolean> {
  readonly type: 'boolean'
}
export interface IntegerKey extends KeyBase<number> {
  readonly type: 'integer'
  readonly min: number
  readonly max: number
}
/** Bytes: an integer, or a text such as "32GiB". */
export interface SizeKey extends KeyBase<number> {
  readonly type: 'size'
  readonly min: number
  readonly max: number
}
export interface ListKey extends KeyBase<readonly string[]> {
  readonly type: 'list'
  readonly form: { readonly pattern: RegExp; readonly words: string }
}
export type ConfigKey = TextKey | ChoiceKey | BooleanKey | IntegerKey | SizeKey | ListKey

export const KIB = 1024
export const MIB = 1024 * KIB
export const GIB = 1024 * MIB
export const TIB = 1024 * GIB

const absolutePath = { pattern: /^\/\P{Cc}*$/u, words: 'an absolute path' }
const httpUrl = { pattern: /^https?:\/\/[^/\s]+\/?$/, words: 'http://HOST[:PORT] or https://HOST[:PORT]' }

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
      text: 'Largest core to store, uncompressed, known from its head before the body is read. A larger one leaves a record.',
    },
    slots: {
      type: 'integer',
      default: 4,
      min: 1,
      max: 1024,
      text: 'How many cores are streamed at once on this node.',
    },
    slot_wait_seconds: {
      type: 'integer',
      default: 10,
      min: 0,
      max: 3600,
      text: 'How long a crash waits for a slot; the crashed process is held meanwhile. Then it leaves a record.',
    },
    state_dir: {
      type: 'text',
      default: '/run/corelift',
      form: absolutePath,
      text: 'Root-only directory on a tmpfs that holds the slots.',
    },
  },
  capture: {
    honor_core_rlimit: {
      type: 'boolean',
      default: true,
      text: 'A process whose soft RLIMIT_CORE is below one page, or below the size of its core, leaves a record. false: its core is stored.',
    },
    environ: {
      type: 'list',
      default: [],
      form: { pattern: /^[A-Za-z_][A-Za-z0-9_]*$/, words: 'names of environment variables' },
      text: 'Environment variables to keep. None by default: environments hold secrets.',
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
      default: undefined,
      example: '/sys/fs/cgroup/corelift.slice',
      form: absolutePath,
      text: 'Directory of an existing cgroup for the handler to join. Unset: it stays in the root cgroup, as the kernel starts it.',
    },
  },
  workload: {
    timeout_ms: {
      type: 'integer',
      default: 500,
      min: 1,
      max: 60_000,
      text: "Longest wait for a container runtime's answer.",
    },
    containerd_state_dir: {
      type: 'text',
      default: '/run/containerd',
      form: absolutePath,
      text: "containerd's `state` directory, which holds the bundles of running containers.",
    },
    docker_socket: {
      type: 'text',
      default: '/run/docker.sock',
      form: absolutePath,
      text: 'Socket of the Docker Engine.',
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
  },
} as const satisfies Record<string, Record<string, ConfigKey>>

type Camel<S extends string> = S extends `${infer Head}_${infer Tail}`
  ? `${Head}${Capitalize<Camel<Tail>>}`
  : S
type Value<K extends ConfigKey> = K extends TextKey
  ? K['default'] extends string
    ? string
    : string | undefined
  : K extends ChoiceKey
    ? K['choices'][number]
    : K extends BooleanKey
      ? boolean
      : K extends ListKey
        ? readonly string[]
        : number
type Table = typeof CONFIG_TABLE

/** Effective values: `budget.core_bytes_max` in the file is `config.budget.coreBytesMax` here. */
export type Config = {
  readonly [S in keyof Table]: {
    readonly [K in keyof Table[S] & string as Camel<K>]: Table[S][K] extends ConfigKey
      ? Value<Table[S][K]>
      : never
  }
}

/** `budget.core_bytes_max` and the like. */
export type ConfigKeyName = {
  [S in keyof Table & string]: `${S}.${keyof Table[S] & string}`
}[keyof Table & string]
