// Every metric: type, labels and text. What is written, documented and drawn is made from this table or checked against it.

export interface Metric {
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly labels: readonly string[]
  readonly help: string
}

/** By name, after Prometheus' conventions: base units, `_total` for what only grows. Counters begin anew at each boot. */
export const METRICS = {
  corelift_build_info: {
    type: 'gauge',
    labels: ['version'],
    help: 'Always 1: the version of the last sweep.',
  },
  corelift_crashes_total: {
    type: 'counter',
    labels: ['namespace', 'outcome', 'reason'],
    help: 'Crashes, by what is kept of them and why it is less than the full core.',
  },
  corelift_crashes_lost_total: {
    type: 'counter',
    labels: [],
    help: 'Crashes that left nothing, neither in the store nor on the node. There from the first sweep, at 0.',
  },
  corelift_core_bytes_total: {
    type: 'counter',
    labels: ['namespace'],
    help: 'Bytes of full and trimmed cores as they were read.',
  },
  corelift_core_stored_bytes_total: {
    type: 'counter',
    labels: ['namespace'],
    help: 'Bytes of full and trimmed cores as they were stored, compressed.',
  },
  corelift_hold_seconds: {
    type: 'histogram',
    labels: [],
    help: 'How long crashed processes were kept from being reaped.',
  },
  corelift_kernel_drops_total: {
    type: 'counter',
    labels: ['cause'],
    help: 'Crashes that the kernel started no handler for.',
  },
  corelift_kernel_log_lost_total: {
    type: 'counter',
    labels: [],
    help: 'Records of the kernel log that were overwritten before a sweep read them.',
  },
  corelift_core_pattern_ok: {
    type: 'gauge',
    labels: [],
    help: 'Whether kernel.core_pattern is as corelift install left it. Absent where nothing is installed.',
  },
  corelift_spool_usable: {
    type: 'gauge',
    labels: [],
    help: 'Whether spool.dir can be used. Absent where there is none.',
  },
  corelift_spool_entries: {
    type: 'gauge',
    labels: [],
    help: 'Crashes on the node that wait for the store, or are being handled.',
  },
  corelift_spool_bytes: {
    type: 'gauge',
    labels: [],
    help: 'Bytes that they take, or may come to take.',
  },
  corelift_spool_oldest_timestamp_seconds: {
    type: 'gauge',
    labels: [],
    help: 'When the oldest of them crashed. Absent while nothing waits.',
  },
  corelift_spool_lost: {
    type: 'gauge',
    labels: [],
    help: 'Crashes of which the spools kept not even the record, so far.',
  },
  corelift_sweep_last_run_timestamp_seconds: {
    type: 'gauge',
    labels: [],
    help: 'When the last sweep began.',
  },
  corelift_sweep_last_success_timestamp_seconds: {
    type: 'gauge',
    labels: [],
    help: 'When a sweep last left nothing waiting for want of a store.',
  },
  corelift_notifications_total: {
    type: 'counter',
    labels: ['result'],
    help: 'Messages to notify.webhook_url: sent, and failed attempts.',
  },
} as const satisfies Readonly<Record<string, Metric>>

export type MetricName = keyof typeof METRICS

/** Upper bounds in seconds: from a mini core alone to the largest hold.seconds_max that makes sense. */
export const HOLD_BUCKETS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300] as const
