// fauxqs as a program: serves S3 on a free loopback port, prints {"endpoint"} once, and ends when its stdin does, so
// that it never outlives whoever started it. Plain JavaScript, so that scripts can start it with nothing but Node.
//   node s3-embedded-server.mjs [PORT] [BUCKET…]

import process from 'node:process'
import { startFauxqs } from 'fauxqs'

// fauxqs sorts keys with localeCompare and pages by byte order, which loses keys; S3 has byte order in both.
// oxlint-disable-next-line no-extend-native -- nothing but fauxqs runs here
Object.defineProperty(String.prototype, 'localeCompare', {
  value(other) {
    return this < other ? -1 : this > other ? 1 : 0
  },
})

const [port = '0', ...buckets] = process.argv.slice(2)
const server = await startFauxqs({ port: Number(port), logger: false, init: { buckets } })
process.stdout.write(`${JSON.stringify({ endpoint: `http://127.0.0.1:${server.port}` })}\n`)
process.stdin.resume().on('end', () => process.exit())
