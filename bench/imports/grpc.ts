// grpc-js, as workload/cri-client.ts loads it.
const { Client } = await import('@grpc/grpc-js')
process.exit(typeof Client === 'function' ? 0 : 1)
