declare module '*.node' {
  /** Path of the embedded file. */
  const path: string
  export default path
}
