// The whole way over S3: the handler with nothing but a credentials file, the people's commands from elsewhere.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { cephMissing, startCeph } from '../lab/ceph.ts'
import { noKernelControl, startCrasher, underPattern } from '../lab/kernel.ts'
import { compileFixture, makeNode, noBinary, run, sha256OfFile, type TestNode } from '../lab/node.ts'
import { startEmbeddedS3, type S3Server } from '../lab/s3-embedded.ts'
import { createBucket } from '../store/s3-options.ts'

const unable = noKernelControl() ?? noBinary()
