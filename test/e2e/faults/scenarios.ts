// What stores, links and credentials do wrong, and what has to become of a crash that meets it. docs/faults.md is written
// from these, and from what came of them.
import type { FaultRule } from '../../lab/fault-proxy.ts'

/** What is found in the store, in the end. */
export type Expected = 'full' | 'incomplete' | 'mini' | 'record'

export interface Scenario {
  /** As the table names it. */
  readonly fault: string
  /** Rules of the proxy before the store; none: the endpoint itself is what is wrong. */
  readonly rules?: readonly FaultRule[]
  /** Another endpoint in place of the proxy, or other keys of `[store]`. */
  readonly store?: Readonly<Record<string, string>>
  /** Something that is done before the crash, and undone by what it returns. */
  readonly around?: 'server-down' | 'server-restarts' | 'no-credentials' | 'no-bucket'
  readonly spool: boolean
  /** A request may take so long; else 2 s. */
  readonly timeoutSeconds?: number
  /** Exit code of the handler: 0 all is in the store, 13 something waits, 5 lost, 11 incomplete, 12 mini, 10 record. */
  readonly exit: number
  readonly expected: Expected
  /** Of the manifest, where it is not the full core. */
  readonly reason?: string
  /** An upload that nobody has the id of: the bucket's lifecycle rule removes it, or `verify --repair`. */
  readonly leavesUpload?: true
}

const PART = /^PUT .*[?&]partNumber=/
const CREATE = /^POST .*\?uploads/
const COMPLETE = /^POST .*[?&]uploadId=/
const KIT = /^PUT .*kit\.tar\.zst/
const MANIFEST = /^PUT .*manifest\.json/
const ANY = /./

const xml = (code: string): string =>
  `<?xml version="1.0"?><Error><Code>${code}</Code><Message>m</Message></Error>`
const answer = (status: number, body: string) => ({ kind: 'answer', status, body }) as const
const s3Error = (status: number, code: string) => answer(status, xml(code))
const HTML = '<html><body><h1>502 Bad Gateway</h1></body></html>'
const MIDDLE = 100_000

/** A moment of trouble: tried again, and nobody notices. */
const passing = (fault: string, ...rules: FaultRule[]): Scenario => ({
  fault: `${fault}, once`,
  rules: rules.map(rule => ({ ...rule, times: 1 })),
  spool: false,
  exit: 0,
  expected: 'full',
})

/** Trouble that stays until somebody mends it: the spool holds everything meanwhile. */
const lasting = (fault: string, match: RegExp, what: FaultRule['fault']): Scenario => ({
  fault: `${fault}, always`,
  rules: [{ match, fault: what }],
  spool: true,
  exit: 13,
  expected: 'full',
})

/** A store that nobody gets through to until its configuration is mended. */
const unreached = (fault: string, store: Readonly<Record<string, string>>): Scenario => ({
  ...{ fault, store, spool: true, exit: 13, expected: 'full' },
})

export const SCENARIOS: readonly Scenario[] = [
  passing('500 to a part', { match: PART, fault: s3Error(500, 'InternalError') }),
  lasting('500 to everything', ANY, s3Error(500, 'InternalError')),
  passing('503 SlowDown to a part', { match: PART, fault: s3Error(503, 'SlowDown') }),
  lasting('503 SlowDown to everything', ANY, s3Error(503, 'SlowDown')),
  passing('502 with HTML from a proxy', { match: PART, fault: answer(502, HTML) }),
  lasting('502 with HTML to everything', ANY, answer(502, HTML)),
  passing('reset before the body of a part', { match: PART, fault: { kind: 'reset', afterBytes: 0 } }),
  passing('reset in the middle of a part', { match: PART, fault: { kind: 'reset', afterBytes: MIDDLE } }),
  passing('reset after a part, its answer lost', {
    match: PART,
    fault: { kind: 'reset', afterBytes: Infinity },
  }),
  lasting('reset in the middle of every part', PART, { kind: 'reset', afterBytes: MIDDLE }),
  passing('FIN in the middle of a part', { match: PART, fault: { kind: 'fin', afterBytes: MIDDLE } }),
  lasting('FIN in the middle of every part', PART, { kind: 'fin', afterBytes: MIDDLE }),
  lasting('hang before the body', ANY, { kind: 'hang', afterBytes: 0 }),
  lasting('hang in the middle of every part', PART, { kind: 'hang', afterBytes: MIDDLE }),
  lasting('hang after every part, the answers kept back', PART, { kind: 'hang', afterBytes: Infinity }),
  passing('hang after a part', { match: PART, fault: { kind: 'hang', afterBytes: Infinity } }),
  passing('hang after Complete, which was executed', {
    match: COMPLETE,
    fault: { kind: 'hang', afterBytes: Infinity },
  }),
  passing('reset after Complete, which was executed', {
    match: COMPLETE,
    fault: { kind: 'reset', afterBytes: Infinity },
  }),
  passing('Complete answered 200 with an error', {
    match: COMPLETE,
    fault: answer(200, xml('InternalError')),
  }),
  lasting('Complete answered 200 with an error', COMPLETE, answer(200, xml('InternalError'))),
  passing('Complete answered 200 with nothing', { match: COMPLETE, fault: answer(200, '') }),
  passing('answer to Complete cut in the middle', { match: COMPLETE, fault: { kind: 'truncate' } }),
  {
    ...passing('answer to the beginning of an upload cut', { match: CREATE, fault: { kind: 'truncate' } }),
    leavesUpload: true,
  },
  passing('a part without an ETag', { match: PART, fault: { kind: 'etag', etag: undefined } }),
  lasting('parts without an ETag', PART, { kind: 'etag', etag: undefined }),
  {
    fault: 'parts with a wrong ETag, always',
    rules: [{ match: PART, fault: { kind: 'etag', etag: '"00000000000000000000000000000000"' } }],
    spool: false,
    exit: 12,
    expected: 'mini',
    reason: 'store',
  },
  passing('expired token', { match: ANY, fault: s3Error(400, 'ExpiredToken') }),
  lasting('expired token', ANY, s3Error(400, 'ExpiredToken')),
  lasting('clock skew', ANY, s3Error(403, 'RequestTimeTooSkewed')),
  lasting('access denied to everything', ANY, s3Error(403, 'AccessDenied')),
  lasting('access denied to the manifest only', MANIFEST, s3Error(403, 'AccessDenied')),
  lasting('access denied to the kit only', KIT, s3Error(403, 'AccessDenied')),
  lasting('bucket missing', ANY, s3Error(404, 'NoSuchBucket')),
  unreached('credentials missing', { credentials_file: '/dev/null' }),
  unreached('host name that does not resolve', { endpoint: 'http://corelift-no-such-host.invalid' }),
  unreached('connection refused', { endpoint: 'http://127.0.0.1:9' }),
  unreached('a full listen backlog', { endpoint: '$BACKLOG' }),
  unreached('TLS: self-signed certificate', { endpoint: '$SELF_SIGNED' }),
  unreached('TLS: expired certificate', { endpoint: '$EXPIRED' }),
  unreached('TLS: certificate of another name', { endpoint: '$WRONG_NAME' }),
  {
    fault: 'the server is away, and comes back while the handler tries',
    around: 'server-restarts',
    spool: false,
    exit: 0,
    expected: 'full',
  },
  {
    fault: 'the server is away for longer than anybody tries',
    around: 'server-down',
    spool: true,
    exit: 13,
    expected: 'full',
  },
  {
    fault: 'the server is away for longer than anybody tries',
    around: 'server-down',
    spool: false,
    exit: 13,
    expected: 'record',
    reason: 'store',
  },
  {
    fault: 'hang from the beginning',
    rules: [{ match: ANY, fault: { kind: 'hang', afterBytes: 0 } }],
    spool: false,
    exit: 13,
    expected: 'record',
    reason: 'store',
  },
  {
    fault: 'parts refused',
    rules: [{ match: PART, fault: s3Error(403, 'AccessDenied') }],
    spool: false,
    exit: 12,
    expected: 'mini',
    reason: 'store',
  },
  {
    fault: 'trickle of 100 KB/s',
    rules: [{ match: PART, fault: { kind: 'trickle', bytesPerSecond: 100_000 } }],
    spool: true,
    exit: 13,
    expected: 'full',
  },
  {
    fault: 'trickle of 1 MB/s',
    timeoutSeconds: 20,
    rules: [{ match: PART, fault: { kind: 'trickle', bytesPerSecond: 1_000_000 } }],
    spool: false,
    exit: 11,
    expected: 'incomplete',
    reason: 'deadline',
  },
]
