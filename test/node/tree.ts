// Files of a node, below a directory that stands for `/`.
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'

/** By path: a file's text, or where a link leads. */
export type Tree = Readonly<
  Record<
    string,
    | string
    | { readonly link: string; readonly mode?: never }
    | { readonly text: string; readonly mode: number }
  >
>

/** Writes the files of a tree, whose paths begin with `/`. */
export function plant(root: string, tree: Tree): void {
  for (const [name, content] of Object.entries(tree)) {
    const file = path.join(root, name)
    mkdirSync(path.dirname(file), { recursive: true })
    if (typeof content === 'string') writeFileSync(file, content)
    else if ('link' in content) symlinkSync(content.link, file)
    else writeFileSync(file, content.text, { mode: content.mode })
  }
}
