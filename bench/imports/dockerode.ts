import Docker from 'dockerode'

process.exit(typeof Docker === 'function' ? 0 : 1)
