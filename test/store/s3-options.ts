// Settings of an S3 store for tests.

import { join } from 'node:path'
import type { Test } from 'tap'
import type { S3StoreOptions } from '../../src/store/s3-client.ts'

/** @returns Path of a credentials file in AWS's shared format. */
export function writeCredentials(
  t: Test,
  { accessKey, secretKey }: { accessKey: string; secretKey: string },
): string {
  const lines = ['[default]', `aws_access_key_id = ${accessKey}`, `aws_secret_access_key = ${secretKey}`, '']
  return join(t.testdir({ credentials: lines.join('\n') }), 'credentials')
}

export function s3Options(
  { endpoint, bucket }: { endpoint: string; bucket: string },
  credentialsFile: string,
): S3StoreOptions {
  return {
    bucket,
    prefix: '',
    endpoint,
    region: 'us-east-1',
    pathStyle: true,
    credentialsFile,
    caFile: undefined,
    encryption: 'bucket-default',
    kmsKeyId: undefined,
    requestTimeoutSeconds: 30,
  }
}
