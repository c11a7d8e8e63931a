// Names of what lies in an entry. A blob's name carries its size and its checksum: a reader knows whether it has all of it,
// and room is counted without looking into a file.
import { createHash } from 'node:crypto'

/** A whole object, or a part of the core, by its number. */
export type BlobName = 'kit.tar.zst' | 'core.zst' | `part-${string}`

export interface Blob {
  readonly name: BlobName
  readonly bytes: number
  readonly sha256: string
  /** Of its file. */
  readonly file: string
}

export const NOTE_FILE = 'entry.json'
/** Begins the name of an entry that is done with: it is being removed. */
export const DONE = '.done-'
/** Of a crash, as the key grammar has it, and its entry. */
export const CRASH_ID = /^\d{8}T\d{6}Z-[0-9a-f]{12}$/

const BLOB = /^(kit\.tar\.zst|core\.zst|part-\d{5})\.(\d{1,15})\.([0-9a-f]{64})$/
const RESERVED = /^reserved-(\d{1,15})$/

/** A note with its manifest has some 30 KB; more than that is rare, and a bound need not be exact to hold. */
export const NOTE_BYTES = 64 * 1024

export function partName(number: number): BlobName {
  return `part-${String(number).padStart(5, '0')}`
}

export function isCore(name: BlobName): boolean {
  return name !== 'kit.tar.zst'
}

export function blobOf(name: BlobName, body: Uint8Array): Blob {
  const sha256 = sha256Of(body)
  return { name, bytes: body.length, sha256, file: `${name}.${body.length}.${sha256}` }
}

export function sha256Of(body: Uint8Array): string {
  return createHash('sha256').update(body).digest('hex')
}

export const reservedFile = (bytes: number): string => `reserved-${bytes}`

/** What the names in an entry's directory say. */
export interface Contents {
  readonly blobs: readonly Blob[]
  readonly hasNote: boolean
  /** What its handler may still fill, blobs included. */
  readonly reservedBytes: number
  readonly reservedFiles: readonly string[]
}

export function contentsOf(files: readonly string[]): Contents {
  const blobs = files.flatMap((file): Blob[] => {
    const [, name, bytes, sha256] = BLOB.exec(file) ?? []
    return name === undefined ? [] : [{ name: name as BlobName, bytes: Number(bytes), sha256: sha256!, file }]
  })
  const reservedFiles = files.filter(file => RESERVED.test(file))
  const reserved = reservedFiles.map(file => Number(RESERVED.exec(file)![1]))
  return { blobs, hasNote: files.includes(NOTE_FILE), reservedBytes: Math.max(0, ...reserved), reservedFiles }
}

export function blobBytes({ blobs }: Pick<Contents, 'blobs'>): number {
  return blobs.reduce((sum, { bytes }) => sum + bytes, 0)
}

/** What an entry takes of the spool: what lies in it, or what it may grow to. */
export function bytesTaken(contents: Contents): number {
  return NOTE_BYTES + Math.max(blobBytes(contents), contents.reservedBytes)
}
