// What the contract suite asks and compares with.

import { createHash } from 'node:crypto'
import type { Test } from 'tap'
import type { CoreliftError, ErrorCode } from '../../src/errors.ts'
import type { ListOptions, Store, UnfinishedUpload } from '../../src/store/store.ts'

/** Asserts the error's code, and that it carries what it was translated from or a hint. */
export async function throws(t: Test, step: () => Promise<unknown>, code: ErrorCode): Promise<void> {
  const error = await step().then(
    () => undefined,
    (error: unknown) => error as CoreliftError,
  )
  t.match(error, { name: 'CoreliftError', code, retryable: false })
}

/** @returns `KEY BYTES` of objects and groups as they are, in the order of the pages, sorted within each. */
export async function list(store: Store, prefix: string, options?: ListOptions): Promise<string[]> {
  const found: string[] = []
  for await (const { objects, prefixes } of store.list(prefix, options)) {
    found.push(...[...objects.map(({ key, bytes }) => `${key} ${bytes}`), ...prefixes].sort())
  }
  return found
}

export async function uploadsOf(store: Store, prefix: string): Promise<UnfinishedUpload[]> {
  const found: UnfinishedUpload[] = []
  for await (const page of store.listUploads(prefix)) found.push(...page)
  return found
}

export function bytes(text: string): Uint8Array {
  return Buffer.from(text)
}

export function text(body: Uint8Array): string {
  return Buffer.from(body).toString()
}

/** Incompressible bytes that are the same in every run. */
export function noise(length: number, seed: string): Buffer {
  const blocks: Buffer[] = []
  for (let block = createHash('sha256').update(seed).digest(); blocks.length * 32 < length;) {
    blocks.push(block)
    block = createHash('sha256').update(block).digest()
  }
  return Buffer.concat(blocks).subarray(0, length)
}

export function digest(body: Uint8Array): string {
  return createHash('sha256').update(body).digest('hex')
}
