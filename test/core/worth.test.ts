// Each step of what is worth keeping, by a landmark that it alone leads to: what is left of the budget goes to other
// modules' data, of which there is more than enough.
import t from 'tap'
import { AT } from '../../src/core/auxv.ts'
import { scanHead } from '../../src/core/head.ts'
import { PAGE_BYTES } from '../../src/core/memory.ts'
import { planCore } from '../../src/core/plan.ts'
import { REGISTER } from '../../src/core/threads.ts'
import { buildCore, type CoreSpec, type SegmentSpec } from './build-core.ts'
import { SparseMemory } from './sparse-memory.ts'

const KIB = 1024
const EXE = 0x40_0000
const EXE_DATA = 0x50_0000
const EXE_BSS = 0x50_4000
const NOISE = 0x1000_0000
/** Anonymous, and smaller than each of those. */
const SMALL = 0x2000_0000
const HEAP = 0x6000_0000
const LIBRARY = 0x7e00_0000_0000
const LIBRARY_DATA = 0x7e00_0002_0000
const LOADER = 0x7e10_0000_0000
const LOADER_DATA = 0x7e10_0002_0000
const VDSO = 0x7e20_0000_0000
const STACK = 0x7f00_0000_0000
const MAIN_STACK = 0x7ffd_0000_0000

const [text, data] = [5, 6]
const [LINK_MAP, DEBUG, NAME, TCB, POINTED, CHAINED] = [1, 2, 3, 4, 5, 6].map(
  mib => HEAP + mib * 1024 * KIB,
) as [number, number, number, number, number, number]
const REGISTER_TARGET = HEAP + 7 * 1024 * KIB
const DYNAMIC = EXE_DATA + 0x1000
const SP = STACK + 512 * KIB - 16 * KIB

function core(): CoreSpec {
  const images: SegmentSpec[] = [EXE, LIBRARY, LOADER].map(start => ({
    vaddr: BigInt(start),
    filesz: PAGE_BYTES,
    memsz: 0x2_0000n,
    flags: text,
  }))
  const noise = Array.from({ length: 500 }, (_, index) => NOISE + index * 0x4000)
  const status = Buffer.alloc(336)
  const registers = { rsp: SP, rip: LIBRARY + 0x5123, fsBase: TCB + 16, rbx: REGISTER_TARGET + 8 }
  for (const [name, value] of Object.entries(registers))
    status.writeBigUInt64LE(BigInt(value), 112 + REGISTER[name as keyof typeof registers] * 8)
  const auxv = [
    AT.phdr,
    EXE + 64,
    AT.phnum,
    2,
    AT.base,
    LOADER,
    AT.sysinfoEhdr,
    VDSO,
    AT.random,
    MAIN_STACK + 9,
  ]
  const file = (start: number, bytes: number, pageOffset: bigint, path: string) => ({
    start: BigInt(start),
    end: BigInt(start + bytes),
    pageOffset,
    path,
  })
  return {
    threads: [],
    notes: [
      { name: 'CORE', type: 1, desc: status },
      { name: 'CORE', type: 6, desc: Buffer.from(BigUint64Array.from(auxv.map(BigInt)).buffer) },
    ],
    files: [
      file(EXE, 0x2_0000, 0n, '/bin/crashed'),
      file(EXE_DATA, 0x4000, 32n, '/bin/crashed'),
      ...noise.map(start => file(start, 0x2000, 1n, '/lib/noise')),
      file(LIBRARY, 0x2_0000, 0n, '/lib/library'),
      file(LIBRARY_DATA, 0x4000, 32n, '/lib/library'),
      file(LOADER, 0x2_0000, 0n, '/lib/loader'),
      file(LOADER_DATA, 0x4000, 32n, '/lib/loader'),
    ],
    segments: [
      ...images,
      { vaddr: BigInt(EXE_DATA), filesz: 0x4000, flags: data },
      { vaddr: BigInt(EXE_BSS), filesz: 0x4000, flags: data },
      { vaddr: BigInt(LIBRARY_DATA), filesz: 0x4000, flags: data },
      { vaddr: BigInt(LOADER_DATA), filesz: 0x4000, flags: data },
      ...noise.map(start => ({ vaddr: BigInt(start), filesz: 0x2000, flags: data })),
      { vaddr: BigInt(SMALL), filesz: PAGE_BYTES, flags: data },
      { vaddr: BigInt(HEAP), filesz: 8 * 1024 * KIB, flags: data },
      { vaddr: BigInt(VDSO), filesz: 0x2000, flags: text },
      { vaddr: BigInt(STACK), filesz: 512 * KIB, flags: data },
      { vaddr: BigInt(MAIN_STACK), filesz: 512 * KIB, flags: data },
    ],
  }
}

function memoryOf({ segments = [] }: CoreSpec): SparseMemory {
  const memory = new SparseMemory()
  for (const { vaddr, filesz, memsz } of segments)
    memory.map(Number(vaddr), Number(vaddr) + Number(memsz ?? filesz))
  return memory
    .words(EXE + 64, 6n, 0n, EXE + 64)
    .words(EXE + 64 + 56, 2n, 0n, DYNAMIC)
    .words(DYNAMIC, 21, DEBUG, 0, 0)
    .words(DEBUG, 1, LINK_MAP)
    .words(LINK_MAP, 0, NAME, 0, 0, 0)
    .words(SP + 64, POINTED + 24)
    .words(POINTED + 512, CHAINED)
}

const spec = core()
const scan = scanHead(buildCore(spec).head)
if (scan.state !== 'core') throw new Error(JSON.stringify(scan))
const { head } = scan
const plan = planCore({
  kind: 'mini',
  head,
  memory: memoryOf(spec),
  files: head.files(),
  bytesMax: 512 * KIB,
})

const LANDMARKS: readonly [string, start: number, bytes: number][] = [
  ['the vdso', VDSO, 0x2000],
  ['the used stack of the thread that crashed', SP, 16 * KIB],
  ['the page at the instruction pointer', LIBRARY + 0x5000, PAGE_BYTES],
  ['the first page of every image', EXE, PAGE_BYTES],
  ['the data of the module that crashed', LIBRARY_DATA, 0x4000],
  ['the dynamic linker’s r_debug', DEBUG, PAGE_BYTES],
  ['a link_map that is on the heap', LINK_MAP, PAGE_BYTES],
  ['a name in a link_map', NAME, PAGE_BYTES],
  ['the dynamic linker’s data', LOADER_DATA, 0x4000],
  ['the executable’s data', EXE_DATA, 0x4000],
  ['the executable’s .bss', EXE_BSS, 0x4000],
  ['thread control blocks', TCB, PAGE_BYTES],
  ['the page that a register points to', REGISTER_TARGET, PAGE_BYTES],
  ['arguments and environment', MAIN_STACK + 480 * KIB, 32 * KIB],
  ['the page that a word of the stack points to', POINTED, PAGE_BYTES],
  ['the page that this one points to', CHAINED, PAGE_BYTES],
]

for (const [what, start, bytes] of LANDMARKS) {
  t.test(`${what}: kept`, async t => {
    let at = start
    for (const run of plan.runs) if (run.start <= at && at < run.start + run.bytes) at = run.start + run.bytes
    t.ok(at >= start + bytes, `from 0x${start.toString(16)} to 0x${at.toString(16)}`)
  })
}

t.test('what is left goes to modules’ data before anonymous memory', async t => {
  const mappings = [...plan.mappings()]
  const noise = mappings.filter(({ start }) => start >= NOISE && start < SMALL)
  const kept = noise.filter(({ bytesKept }) => bytesKept > 0).length
  t.ok(kept > 20 && kept < noise.length, `${kept} of ${noise.length}`)
  t.equal(mappings.find(({ start }) => start === SMALL)?.bytesKept, 0)
})
