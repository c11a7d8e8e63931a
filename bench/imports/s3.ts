import { openS3Store } from '../../src/store/s3.ts'

process.exit(typeof openS3Store === 'function' ? 0 : 1)
