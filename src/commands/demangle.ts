// Names of C++ and Rust functions as people write them: the demanglers of the Firefox profiler, compiled to WebAssembly. On
// the people's side alone: symbol names are the workload's, and what takes for ever with one must not be the handler.
import * as glue from 'gecko-profiler-demangle/index_bg.js'

/** @returns The name demangled, or as it is. Never throws. */
export type Demangle = (name: string) => string

/** Itanium C++ (`_Z`), Rust (`_R`), and as some linkers write both. */
const MANGLED = /^_{1,3}[ZR]/
/** Longer ones are templates nobody reads, and take a while. */
const NAME_LENGTH_MAX = 512
/** References to what was said before, which may double the text over and over: 66 in 230 characters made 100 MB. */
const REFERENCE = /[ST][0-9A-Z]*_|B[0-9A-Za-z]*_/g
const REFERENCES_MAX = 24
const PLAIN_LENGTH_MAX = 8192

/** @param wasm - The package's module. */
export function loadDemangle(wasm: Uint8Array<ArrayBuffer>): Demangle {
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(wasm), { './index_bg.js': { ...glue } })
  glue.__wbg_set_wasm(exports)
  return name => {
    if (!MANGLED.test(name) || name.length > NAME_LENGTH_MAX) return name
    if ((name.match(REFERENCE)?.length ?? 0) > REFERENCES_MAX) return name
    try {
      const plain = glue.demangle_any(name)
      // What it does not know loses its underscore: other systems put one before every name.
      return plain === name.replace(/^_+/, '') || plain.length > PLAIN_LENGTH_MAX ? name : plain
    } catch {
      return name
    }
  }
}
