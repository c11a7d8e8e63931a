// The store that the configuration names, with retries.

import type { Config } from '../config/table.ts'
import { CoreliftError } from '../errors.ts'
import { withRetry } from './retry.ts'
import type { RetryHooks } from './retry.ts'
import type { S3StoreOptions } from './s3-client.ts'
import type { Store } from './store.ts'

/** What the entries may hang into requests. */
export interface StoreHooks extends RetryHooks {
  /** Called with each answer's time, where the store tells one. */
  readonly onServerDate?: (date: Date) => void
}

/**
 * Opens without asking the store anything, so that the handler can do it while it reads a core's head.
 * @throws CoreliftError `E_CONFIG` when `store.url` is unset or of no known kind, and what the stores throw on opening.
 */
export async function openStore(config: Config['store'], hooks: StoreHooks = {}): Promise<Store> {
  return withRetry(await openAdapter(config, hooks), { seconds: config.retrySeconds, ...hooks })
}

/** @returns undefined where `store.url` is no bucket's. */
export function s3Location(config: Config['store']): S3StoreOptions | undefined {
  const [, bucket, path = ''] = /^s3:\/\/([^/]+)(.*)$/s.exec(config.url ?? '') ?? []
  if (bucket === undefined) return undefined
  const prefix = path.replace(/^\/+|\/+$/g, '')
  return { ...config, bucket, prefix, region: config.region ?? process.env['AWS_REGION'] ?? 'us-east-1' }
}

async function openAdapter(config: Config['store'], { onServerDate }: StoreHooks): Promise<Store> {
  const { url } = config
  const options = s3Location(config)
  if (options !== undefined) {
    // The SDK takes longest to load of everything; a file store does without.
    const { openS3Store } = await import('./s3.ts')
    return openS3Store({ ...options, ...(onServerDate && { onServerDate }) })
  }
  const [, path] = /^file:\/\/(\/.*)$/s.exec(url ?? '') ?? []
  if (path !== undefined) {
    const { openFileStore } = await import('./file.ts')
    return openFileStore(path.replace(/\/+$/, '') || '/', config)
  }
  throw new CoreliftError(
    'E_CONFIG',
    url === undefined ? 'store.url is not set' : 'store.url is of no known kind',
    {
      hint: 'store.url = "s3://BUCKET/PREFIX" or "file:///DIRECTORY" in /etc/corelift/config.toml, or CORELIFT_STORE_URL',
    },
  )
}
