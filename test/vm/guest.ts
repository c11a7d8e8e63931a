// A virtual node to install corelift on: its lab directory, and what tests ask of the node.
import { appendFileSync, copyFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type { Manifest } from '../../src/store/manifest.ts'
import { decodeManifest } from '../../src/store/manifest-schema.ts'
import type { Test } from '../lab/daemon.ts'
import { BINARY, compileFixture } from '../lab/node.ts'
import { bootVm, type Vm } from '../lab/vm.ts'
import { LAB_DIR, STORE_DIR } from '../lab/vm-image.ts'

export interface Guest extends Vm {
  /** A line for each thing that an installation could change. */
  state(): Promise<string[]>
  /** Lets crasher crash. @returns A comm that only this process had, once no handler is at work any more. */
  crash(): Promise<string>
  /** What the store has of crashes with a comm: pids begin anew at each boot. */
  recorded(comm: string): Promise<Manifest[]>
  /** Waits until no handler is at work. */
  waitForHandlers(): Promise<void>
}

/** In the guest: the binary that was built, and one that is newer by a byte behind the ELF file's end. */
export const BUILT = `${LAB_DIR}/corelift`
export const NEXT = `${LAB_DIR}/corelift-next`
export const STORE_URL_DIR = `${STORE_DIR}/cores`
/** Its store works; every crash keeps its core, however often it happens. */
export const CONFIG = `${LAB_DIR}/config.toml`
/** Nothing listens where its store is said to be. */
export const UNREACHABLE = `${LAB_DIR}/unreachable.toml`

/** @returns A command of the guest that crashes under a name of its own. */
export const crasherAs = (comm: string): string =>
  `${LAB_DIR}/crasher --comm ${Buffer.from(comm).toString('hex')}`

const CONFIG_TOML = `[store]
url = "file://${STORE_URL_DIR}"
[budget]
signature_full = "100000/hour"
workload_full = "100000/hour"
[hold]
seconds_max = 600
`

const UNREACHABLE_TOML = `[store]
url = "s3://cores/nodes"
endpoint = "http://127.0.0.1:9"
credentials_file = "${LAB_DIR}/credentials"
retry_seconds = 1
`

/** @param lab - Directory that becomes the guest's LAB_DIR. */
export async function bootGuest(t: Test, lab: string): Promise<Guest> {
  copyFileSync(BINARY, path.join(lab, 'corelift'))
  copyFileSync(BINARY, path.join(lab, 'corelift-next'))
  appendFileSync(path.join(lab, 'corelift-next'), '\n')
  compileFixture('crasher', lab)
  copyFileSync(path.join(import.meta.dirname, 'node-state.sh'), path.join(lab, 'node-state.sh'))
  writeFileSync(path.join(lab, 'config.toml'), CONFIG_TOML)
  writeFileSync(path.join(lab, 'unreachable.toml'), UNREACHABLE_TOML)
  const keys = '[default]\naws_access_key_id = key\naws_secret_access_key = secret\n'
  writeFileSync(path.join(lab, 'credentials'), keys, { mode: 0o600 })

  const vm = await bootVm(t, lab)
  await vm.output(`mkdir ${STORE_URL_DIR}`)
  let crashes = 0
  const waitForHandlers = async () => {
    await vm.output(`while pgrep -f 'corelift handle [0-9]'; do sleep 0.2; done`)
  }
  return {
    ...vm,
    waitForHandlers,
    async state() {
      return (await vm.output(`sh ${LAB_DIR}/node-state.sh`)).split('\n')
    },
    async crash() {
      const comm = `crash-${++crashes}`
      await vm.run(`ulimit -c unlimited; ${crasherAs(comm)}`)
      await waitForHandlers()
      return comm
    },
    async recorded(comm) {
      const files = await vm.output(
        `find ${STORE_URL_DIR} -name manifest.json -exec sh -c 'cat "$1"; printf "\\0"' sh {} \\;`,
      )
      const texts = files.split('\0').slice(0, -1)
      return texts
        .map(text => decodeManifest(Buffer.from(text), 'manifest.json'))
        .filter(manifest => manifest.process?.comm === comm)
    },
  }
}
