import t from 'tap'
import { privateDirProblem } from '../src/private-dir.ts'
import type { PrivateDirFacts } from '../src/private-dir.ts'

t.test('who owns the directory, who may write it and where it is decide whether it is trusted', async t => {
  const good: PrivateDirFacts = {
    mode: 0o40700,
    uid: 0,
    euid: 0,
    onRootFilesystem: false,
    filesystemType: 0x01021994,
  }
  const [ext4, ramfs] = [0xef53, 0x858458f6]
  t.equal(privateDirProblem(good), undefined)
  t.equal(privateDirProblem({ ...good, mode: 0o40755 }), undefined)
  t.match(privateDirProblem({ ...good, uid: 1000 }), /belongs to uid 1000/)
  t.match(privateDirProblem({ ...good, mode: 0o40720 }), /written by others/)
  t.match(privateDirProblem({ ...good, onRootFilesystem: true, filesystemType: ext4 }), /root file system/)
  t.equal(privateDirProblem({ ...good, filesystemType: ext4 }), undefined, 'a disk, but not the root disk')
  t.equal(
    privateDirProblem({ ...good, onRootFilesystem: true, filesystemType: ramfs }),
    undefined,
    'a live system',
  )
})
