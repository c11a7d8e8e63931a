// The bucket of the store that the configuration names.

import type { Config } from '../config/table.ts'
import { CoreliftError } from '../errors.ts'
import type { BucketAdmin } from './bucket.ts'
import { s3Location } from './open.ts'

/**
 * Asks the store nothing.
 * @throws CoreliftError `E_USAGE` when the store is no bucket, `E_CONFIG` when the CA file cannot be read.
 */
export async function openBucket(config: Config['store']): Promise<BucketAdmin> {
  const options = s3Location(config)
  if (options === undefined)
    throw new CoreliftError('E_USAGE', 'corelift bucket is for buckets, and store.url is none', {
      hint: 'store.url = "s3://BUCKET/PREFIX"; a directory expires nothing by itself, and its permissions are its own',
    })
  const { openS3Bucket } = await import('./s3-bucket.ts')
  return openS3Bucket(options)
}
