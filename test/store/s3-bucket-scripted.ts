// Answers about a bucket, as S3 servers spell them, and one that gives them.

import type { Test } from 'tap'
import type { BucketAdmin, LifecycleRule } from '../../src/store/bucket.ts'
import { openS3Bucket } from '../../src/store/s3-bucket.ts'
import { type Answer, openScripted, status } from './s3-scripted.ts'

export const NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'

export type Question = Exclude<keyof BucketAdmin, 'bucket' | 'prefix' | 'region' | 'setRules' | 'close'>

export function xml(root: string, content = ''): Answer {
  return status(200, `<?xml version="1.0" encoding="UTF-8"?>\n<${root} ${NAMESPACE}>${content}</${root}>`)
}

export const lifecycle = (rules: string) => xml('LifecycleConfiguration', rules)

export const own: LifecycleRule = {
  id: 'corelift-1-crashes',
  enabled: true,
  prefix: 'a/crashes/',
  expireDays: 30,
  noncurrentDays: null,
  abortDays: null,
  more: false,
}

export async function scripted(t: Test, ...answers: readonly Answer[]) {
  const { options, requests } = await openScripted(t, answers, { requestTimeoutSeconds: 5 })
  const admin = await openS3Bucket(options)
  t.teardown(() => admin.close())
  return { admin, requests }
}

export async function asked(t: Test, question: Question, answer: Answer) {
  return (await scripted(t, answer)).admin[question]()
}
