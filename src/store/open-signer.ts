// A signer of links to the store that the configuration names.
import type { Config } from '../config/table.ts'
import { CoreliftError } from '../errors.ts'
import { s3Location } from './open.ts'
import type { UrlSigner } from './url-signer.ts'

/** @throws CoreliftError `E_USAGE` when the store is no bucket, and what `openS3Signer` throws. */
export async function openSigner(config: Config['store']): Promise<UrlSigner> {
  const options = s3Location(config)
  if (options === undefined)
    throw new CoreliftError('E_USAGE', 'there are links to objects of a bucket, and store.url is none', {
      hint: 'corelift export makes a file that can be passed on',
    })
  const { openS3Signer } = await import('./s3-signer.ts')
  return await openS3Signer(options)
}
