// corelift url: links to a crash's objects that need no credentials, until they expire.
import { CoreliftError } from '../errors.ts'
import { coreKey, kitKey, manifestKey } from '../store/keys.ts'
import type { Manifest } from '../store/manifest.ts'
import type { Store } from '../store/store.ts'
import type { UrlSigner } from '../store/url-signer.ts'
import { commWord } from './file-word.ts'
import type { FoundCrash } from './find.ts'

export const URL_OBJECTS = ['core', 'kit', 'manifest'] as const
export type UrlObject = (typeof URL_OBJECTS)[number]

export interface SignedUrl {
  readonly object: UrlObject
  /** Stored. */
  readonly bytes: number
  readonly url: string
  /** ISO 8601. */
  readonly expires: string
}

/**
 * Signs links to the objects that are there.
 * @param wanted - None: all that there are.
 * @throws CoreliftError `E_CORE_ABSENT` for an object that was asked for and is not there; `E_STORE_…`
 */
export async function signUrls(
  store: Store,
  signer: UrlSigner,
  { crash, manifest }: { readonly crash: FoundCrash; readonly manifest: Manifest | undefined },
  wanted: readonly UrlObject[],
  lifetime: { readonly seconds: number; readonly now: Date },
): Promise<SignedUrl[]> {
  const expires = new Date(lifetime.now.getTime() + lifetime.seconds * 1000).toISOString()
  const urls: SignedUrl[] = []
  for (const object of wanted.length > 0 ? wanted : URL_OBJECTS) {
    const key = KEYS[object](crash.prefix)
    const found = await store.stat(key)
    if (found === undefined && wanted.length > 0)
      throw new CoreliftError('E_CORE_ABSENT', `the ${object} of crash ${crash.id} is not in ${store.url}`, {
        hint: `corelift url ${crash.id} without options signs what there is`,
      })
    if (found === undefined) continue
    const url = await signer.sign(key, fileName(object, crash.id, manifest), lifetime.seconds)
    urls.push({ object, bytes: found.bytes, url, expires })
  }
  return urls
}

const KEYS: Readonly<Record<UrlObject, (prefix: string) => string>> = {
  core: coreKey,
  kit: kitKey,
  manifest: manifestKey,
}
const ENDS: Readonly<Record<UrlObject, string>> = { core: '.zst', kit: '.tar.zst', manifest: '.json' }

/** `core.<comm>.<pid>.<id>.zst`: ASCII, and nothing that ends a header's quotes. */
function fileName(object: UrlObject, id: string, manifest: Manifest | undefined): string {
  return `${object}.${commWord(manifest?.process)}.${manifest?.crash.pid ?? 0}.${id}${ENDS[object]}`
}
