import { pack } from 'tar-stream'

process.exit(typeof pack === 'function' ? 0 : 1)
