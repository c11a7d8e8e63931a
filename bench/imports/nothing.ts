// What every program pays: Bun's own start.
process.exit(typeof performance === 'object' ? 0 : 1)
