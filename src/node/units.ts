// The systemd units of a node: the timer that sweeps, and the slice that holds the handlers. systemd.exec(5),
// systemd.resource-control(5).

/** @param binary - Absolute path of corelift. */
export function sweepService(binary: string): string {
  return `# Written by corelift install, which overwrites changes: systemctl edit keeps them apart.
[Unit]
Description=Finish what crash handlers had to leave (corelift)
ConditionFileIsExecutable=${binary}

[Service]
Type=oneshot
ExecStart=${binary} sweep
# Something waits for the store: corelift status and the metrics tell, a failed unit would tell nothing more.
SuccessExitStatus=5
# A spool of gigabytes over a slow link; the next sweep goes on where this one was stopped.
TimeoutStartSec=30min
UMask=0077

# It serves the node and gives way to it.
Nice=10
IOSchedulingClass=idle
OOMScoreAdjust=500
MemoryMax=1G
CPUWeight=20

# It sends files of root's to the store, and reads the kernel log for crashes that no handler was started for.
CapabilityBoundingSet=CAP_SYSLOG CAP_DAC_OVERRIDE
NoNewPrivileges=yes
DevicePolicy=closed
DeviceAllow=/dev/kmsg rw
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
SystemCallArchitectures=native
# Spool, file store and metrics are wherever the configuration says.
ProtectSystem=full
ProtectHome=yes
PrivateTmp=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelModules=yes
ProtectProc=invisible
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
KeyringMode=private
# Not set, since it could not work: MemoryDenyWriteExecute (its code is compiled as it runs), ProtectKernelTunables
# (node.enforce_core_pattern), ProtectKernelLogs and PrivateDevices (/dev/kmsg).
`
}

export const SWEEP_TIMER_TEXT = `# Written by corelift install, which overwrites changes: systemctl edit keeps them apart.
[Unit]
Description=Finish what crash handlers had to leave, each minute (corelift)

[Timer]
OnActiveSec=1min
OnUnitInactiveSec=1min
RandomizedDelaySec=10s
AccuracySec=10s

[Install]
WantedBy=timers.target
`

/**
 * The kernel starts handlers in the root cgroup, where nothing bounds them; they join this slice themselves. It holds
 * no unit, so that its cgroup may hold processes: cgroups(7), "no internal processes".
 * @param processors - How many the node has.
 */
export function handlerSlice(processors: number): string {
  return `# Written by corelift install, which overwrites changes: systemctl edit keeps them apart.
[Unit]
Description=Crash handlers, started by the kernel (corelift)

[Slice]
# kernel.core_pipe_limit handlers of 25 MiB are 40 % of a small node's memory at most.
MemoryMax=50%
# Of ${processors}: a storm of crashes leaves the other half alone, and less than that where others want it.
CPUQuota=${Math.max(100, processors * 50)}%
CPUWeight=20
IOWeight=20

[Install]
WantedBy=multi-user.target
`
}
