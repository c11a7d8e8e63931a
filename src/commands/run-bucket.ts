// What `corelift bucket` does with its options.
import type { BucketAdmin } from '../store/bucket.ts'
import {
  bucketExit,
  type BucketFacts,
  bucketInit,
  type BucketReport,
  bucketShow,
  parseDays,
} from './bucket.ts'
import { renderBucket } from './render-bucket.ts'
import { renderJson } from './render.ts'
import { configSources } from './run.ts'
import type { GlobalOptions, Session } from './session.ts'
import { colorsFor, write } from './terminal.ts'

export interface BucketOptions extends GlobalOptions {
  readonly policies?: boolean
}

export interface BucketInitOptions extends BucketOptions {
  readonly dryRun?: boolean
  readonly crashesDays?: string
  readonly buildidDays?: string
  readonly uploadsDays?: string
}

export function runBucketShow(session: Session, options: BucketOptions): Promise<void> {
  return withBucket(session, options, bucketShow)
}

export function runBucketInit(session: Session, options: BucketInitOptions): Promise<void> {
  const days = parseDays(options)
  const dryRun = options.dryRun ?? false
  return withBucket(session, options, (admin, facts) => bucketInit(admin, facts, { days, dryRun }))
}

async function withBucket(
  session: Session,
  options: BucketOptions,
  ask: (admin: BucketAdmin, facts: BucketFacts) => Promise<BucketReport>,
): Promise<void> {
  const { io, deps } = session
  const { config } = deps.loadConfig(configSources(session, options, ['store.url']))
  const admin = await deps.openBucket(config.store)
  try {
    const report = await ask(admin, config)
    const colors = colorsFor(io.stdout, io.env, options.color)
    await write(
      io.stdout,
      options.json ? renderJson(report) : renderBucket(report, options.policies ?? false, colors),
    )
    session.exitCode = bucketExit(report)
  } finally {
    admin.close()
  }
}
