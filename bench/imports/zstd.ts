// As src/main.ts loads it.
import { readFileSync, writeSync } from 'node:fs'
import addonFile from '../../build/zstd.node' with { type: 'file' }
import { memfdCreate } from '../../src/os/libc.ts'
import { addonZstd, loadAddon } from '../../src/zstd/codec.ts'

const fd = memfdCreate('zstd-napi')
const bytes = readFileSync(addonFile)
for (let written = 0; written < bytes.length;) written += writeSync(fd, bytes, written)
process.exit(addonZstd(loadAddon(`/proc/self/fd/${fd}`)).compressor(1, 'many').codec === 'zstd-napi' ? 0 : 1)
