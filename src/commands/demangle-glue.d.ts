// The part of gecko-profiler-demangle that needs no bundler, and has no types of its own.
declare module 'gecko-profiler-demangle/index_bg.js' {
  export function __wbg_set_wasm(exports: WebAssembly.Exports): void
  export function demangle_any(name: string): string
}

// Bundled as a file, whose path this is.
declare module 'gecko-profiler-demangle/index_bg.wasm' {
  const path: string
  export default path
}
