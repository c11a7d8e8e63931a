// The store that the configuration names, with retries.

import type { Config } from '../config/table.ts'
import { CoreliftError } from '../errors.ts'
import { withRetry } from './retry.ts'
import type { RetryHooks } from './retry.ts'
import type { S3StoreOptions } from './s3-client.ts'
import type { Store } from './store.ts'

/**
 * Opens without asking the store anything, so that the handler can do it while it reads a core's head.
 * @throws CoreliftError `E_CONFIG` when `store.url` is unset or of no known kind, and what the stores throw on opening.
 */
export async function openStore(config: Config['store'], hooks: RetryHooks = {}): Promise<Store> {
  return withRetry(await openAdapter(config), { seconds: config.retrySeconds, ...hooks })
}

/** @param path - What follows the bucket in `store.url`. */
export function s3Options(config: Config['store'], bucket: string, path: string): S3StoreOptions {
  const prefix = path.replace(/^\/+|\/+$/g, '')
  return { ...config, bucket, prefix, region: config.region ?? process.env['AWS_REGION'] ?? 'us-east-1' }
}

async function openAdapter(config: Config['store']): Promise<Store> {
  const { url } = config
  const [, scheme, bucket = '', path = ''] = /^(s3|file):\/\/([^/]*)(.*)$/s.exec(url ?? '') ?? []
  if (scheme === 's3') {
    // The SDK takes longest to load of everything; a file store does without.
    const { openS3Store } = await import('./s3.ts')
    return openS3Store(s3Options(config, bucket, path))
  }
  if (scheme === 'file' && bucket === '' && path !== '') {
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
