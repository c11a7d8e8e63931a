// The scripts that a package runs on a node.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * @param root - Of the sources.
 * @param last - What it does with the functions of node.sh.
 */
export function nodeScript(root: string, last: string): string {
  return `#!/bin/sh\nset -e\n${readFileSync(join(root, 'scripts', 'package', 'node.sh'), 'utf8')}\n${last}\n`
}
