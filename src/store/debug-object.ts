// What goes with an executable or a library in the store: debuginfod's clients take it for the file itself.
import type { ObjectAbout } from './store.ts'

export const DEBUG_OBJECT: ObjectAbout = { contentType: 'application/octet-stream', contentEncoding: 'zstd' }
