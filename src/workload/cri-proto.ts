// The few messages of the Container Runtime Interface, v1, that are asked for: field numbers of api.proto in
// k8s.io/cri-api/pkg/apis/runtime/v1. A table and protobufjs' reader do for them what compiling a .proto text does, in a
// tenth of its time. What is not in the table, or not of its wire type, is passed over.
import protobuf from 'protobufjs/minimal.js'
import type { Values } from './kubernetes.ts'

/** What a field holds: a text, a count, a map of texts, or a message of its own. */
type FieldType = 'text' | 'count' | 'texts' | Fields
/** Fields of a message by their numbers. A repeated one counts as one: its last. */
export interface Fields {
  readonly [number: number]: readonly [name: string, type: FieldType]
}

const CONTAINER_STATUS: Fields = {
  1: ['id', 'text'],
  2: ['metadata', { 1: ['name', 'text'], 2: ['attempt', 'count'] }],
  8: ['image', { 1: ['image', 'text'] }],
  9: ['imageRef', 'text'],
  12: ['labels', 'texts'],
  15: ['logPath', 'text'],
}
const SANDBOX_STATUS: Fields = {
  1: ['id', 'text'],
  2: ['metadata', { 1: ['name', 'text'], 2: ['uid', 'text'], 3: ['namespace', 'text'] }],
  7: ['labels', 'texts'],
  8: ['annotations', 'texts'],
}
const LISTED_CONTAINER: Fields = { 1: ['id', 'text'], 2: ['podSandboxId', 'text'] }

/** Calls: the method, its request for one id, and the first fields of its answer; `info` comes with `verbose`. */
export const CALLS = {
  container: {
    method: 'ContainerStatus',
    request: idRequest,
    answer: { 1: ['it', CONTAINER_STATUS], 2: ['info', 'texts'] },
  },
  sandbox: {
    method: 'PodSandboxStatus',
    request: idRequest,
    answer: { 1: ['it', SANDBOX_STATUS], 2: ['info', 'texts'] },
  },
  listed: { method: 'ListContainers', request: filterRequest, answer: { 1: ['it', LISTED_CONTAINER] } },
} as const satisfies Record<
  string,
  { method: string; request: (id: string, verbose: boolean) => Uint8Array; answer: Fields }
>

/** Lengths before what follows: texts, maps' entries and messages. */
const LENGTH_DELIMITED = 2
const VARINT = 0

const MAP_ENTRY: Fields = { 1: ['key', 'text'], 2: ['value', 'text'] }

/**
 * Reads a message.
 * @throws RangeError and others for bytes that are none.
 */
export function decode(fields: Fields, bytes: Uint8Array): Values {
  const message: Record<string, unknown> = {}
  const reader = protobuf.Reader.create(bytes)
  while (reader.pos < reader.len) {
    const tag = reader.uint32()
    const [name, type] = fields[tag >>> 3] ?? []
    const wireType = tag & 7
    if (name === undefined || wireType !== (type === 'count' ? VARINT : LENGTH_DELIMITED))
      reader.skipType(wireType)
    else if (type === 'text') message[name] = reader.string()
    else if (type === 'count') message[name] = reader.uint32()
    else if (type === 'texts') addEntry((message[name] ??= emptyMap()), reader.bytes())
    else message[name] = decode(type!, reader.bytes())
  }
  return message
}

/** Without a prototype: a label may be called `__proto__`. */
const emptyMap = (): object => Object.create(null) as object

function addEntry(map: object, bytes: Uint8Array): void {
  const { key = '', value = '' } = decode(MAP_ENTRY, bytes) as { key?: string; value?: string }
  Object.assign(map, { [key]: value })
}

/** ContainerStatusRequest and PodSandboxStatusRequest: the id is field 1 of both, `verbose` field 2. */
function idRequest(id: string, verbose: boolean): Uint8Array {
  const writer = protobuf.Writer.create().uint32(tagOf(1)).string(id)
  if (verbose) writer.uint32((2 << 3) | VARINT).bool(true)
  return writer.finish()
}

/** ListContainersRequest: field 1 is a ContainerFilter, whose field 1 is the id. */
function filterRequest(id: string): Uint8Array {
  return protobuf.Writer.create().uint32(tagOf(1)).fork().uint32(tagOf(1)).string(id).ldelim().finish()
}

const tagOf = (field: number): number => (field << 3) | LENGTH_DELIMITED
