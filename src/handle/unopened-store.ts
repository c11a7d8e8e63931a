// A store that could not be opened: whatever is asked of it fails with the reason, so that a crash goes where it goes when
// a store fails.
import type { Store } from '../store/store.ts'

export function unopenedStore(error: unknown): Store {
  const fail = async () => {
    throw error
  }
  const nothing = {
    // oxlint-disable-next-line require-yield -- it only fails
    async *[Symbol.asyncIterator]() {
      await fail()
    },
  }
  return {
    url: '',
    put: fail,
    get: fail,
    getRange: fail,
    stat: fail,
    list: () => nothing,
    startUpload: fail,
    resumeUpload: (_key, id) => ({ id, putPart: fail, complete: fail, abort: fail }),
    listUploads: () => nothing,
    remove: fail,
    close: () => undefined,
  }
}
