// Presigned URLs of S3: https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-presigned-url.html
import { GetObjectCommand } from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import { createClient, type S3StoreOptions } from './s3-client.ts'
import { translateS3Error } from './s3-errors.ts'
import type { UrlSigner } from './url-signer.ts'

/**
 * Asks the store nothing.
 * @throws CoreliftError `E_CONFIG` when the CA file cannot be read, `E_STORE_CREDENTIALS` where there are none.
 */
export async function openS3Signer(options: S3StoreOptions): Promise<UrlSigner> {
  const { bucket, prefix } = options
  const client = await createClient(options)
  const credentials = await client.config.credentials().catch((error: unknown) => {
    throw translateS3Error(error, 'sign')
  })
  return {
    credentialsExpireAt: credentials.expiration,
    async sign(key, file, seconds) {
      const command = new GetObjectCommand({
        Bucket: bucket,
        Key: prefix === '' ? key : `${prefix}/${key}`,
        ResponseContentDisposition: `attachment; filename="${file}"`,
      })
      return await getSignedUrl(client, command, { expiresIn: seconds })
    },
    close: () => client.destroy(),
  }
}
