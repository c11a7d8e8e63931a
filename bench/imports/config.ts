import { loadConfig } from '../../src/config/load.ts'

process.exit(typeof loadConfig === 'function' ? 0 : 1)
