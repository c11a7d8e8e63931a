// The sysctl.d(5) files of an installation: what the kernel is told at each boot, and why.
import { SYSCTL_FILE, type SysctlName } from './layout.ts'

const GIB = 1024 ** 3
/** A handler has 25 MiB of its own. */
const SMALL_NODE_BYTES = 16 * GIB

/** @param memoryBytes - Of the node. */
export function pipeLimit(memoryBytes: number): number {
  return memoryBytes < SMALL_NODE_BYTES ? 64 : 256
}

const REASONS: Record<SysctlName, string> = {
  'kernel.core_pattern': `The kernel starts this for each process that dumps core: core(5). Of the file it takes 127 bytes.`,
  'kernel.core_pipe_limit': `How many handlers may run at once. With 0 the kernel neither bounds them nor keeps /proc/PID, which names the
# pod, until the handler has read it. Over the limit it starts none, and only logs "over core_pipe_limit". A handler
# has 25 MiB of its own: 64 on nodes below 16 GiB of memory, else 256.`,
  'fs.suid_dumpable': `At 0 processes that change their user without an exec (nginx's workers) never reach the handler. At 2 they do, and
# only root may read what they leave. Never 1.`,
}

export function sysctlFile(values: Readonly<Record<SysctlName, string>>): string {
  const entries = (Object.keys(REASONS) as SysctlName[]).map(
    name => `\n# ${REASONS[name]}\n${name}=${values[name]}\n`,
  )
  return `# Written by corelift install, which overwrites changes; corelift uninstall takes it away.\n${entries.join('')}`
}

/** In the place of systemd-coredump's own settings, which also its package's scripts apply. */
export const SYSCTL_OVERRIDE_TEXT = `# Written by corelift install; corelift uninstall takes it away.
# Stands for /usr/lib/sysctl.d/50-coredump.conf, so that systemd-coredump does not take kernel.core_pattern back:
# ${SYSCTL_FILE} has what holds.
`
