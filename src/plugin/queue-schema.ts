/** The `queue` record that loggers have in their configuration: Kong's fields, defaults and bounds. */
import { notNegative } from '../entities/validators.ts'
import type { Infer } from '../schema/field.ts'
import { field } from '../schema/field.ts'
import type { QueueLimits } from './queue.ts'

/** Bytes that a queue holds at most where the configuration sets no limit. */
const DEFAULT_MAX_BYTES = 67_108_864
/** Batches under way where `concurrency_limit` is -1: Kong's "no limit" would let a slow server take all memory. */
const MAX_CONCURRENCY = 100

/** Defaults that a plugin has for itself. */
export interface QueueDefaults {
  readonly max_batch_size?: number
}

/** Makes the field. */
export function queueField({ max_batch_size = 1 }: QueueDefaults = {}) {
  return field.record({
    required: true,
    description: 'How entries are gathered and sent behind the back of requests.',
    fields: {
      max_batch_size: field.integer({ default: max_batch_size, between: [1, 1_000_000], description: 'Entries that are sent together.' }),
      max_coalescing_delay: field.number({
        default: 1,
        between: [0, 3600],
        unit: 's',
        description: 'How long an entry waits for others before an incomplete batch is sent.',
      }),
      max_entries: field.integer({
        default: 10_000,
        between: [1, 1_000_000],
        description: 'Entries that may wait. One more pushes out the oldest.',
      }),
      max_bytes: field.integer({
        validator: positiveViolation,
        unit: 'bytes',
        description: 'Bytes that a queue may hold. Absent: 64 MiB. An entry beyond them pushes out the oldest.',
      }),
      max_retry_time: field.number({
        default: 60,
        validator: notNegative,
        unit: 's',
        description: 'How long a batch is tried; after that it is lost.',
      }),
      initial_retry_delay: field.number({
        default: 0.01,
        between: [0.001, 1_000_000],
        unit: 's',
        description: 'Pause before the second attempt; it doubles with each.',
      }),
      max_retry_delay: field.number({ default: 60, between: [0.001, 1_000_000], unit: 's', description: 'The longest pause.' }),
      concurrency_limit: field.integer({
        default: 1,
        oneOf: [-1, 1],
        description: 'Batches under way at the same time: 1 keeps the order, -1 sends up to 100 side by side.',
      }),
    },
  })
}

/** A stored `queue`. */
export type QueueConfig = Infer<ReturnType<typeof queueField>>

/** What a stored `queue` comes to; null members are Kong's defaults. */
export function queueLimits(config: QueueConfig, { max_batch_size = 1 }: QueueDefaults = {}): QueueLimits {
  return {
    maxBatchSize: config.max_batch_size ?? max_batch_size,
    maxCoalescingDelayMs: (config.max_coalescing_delay ?? 1) * 1000,
    maxEntries: config.max_entries ?? 10_000,
    maxBytes: config.max_bytes ?? DEFAULT_MAX_BYTES,
    maxRetryTimeMs: (config.max_retry_time ?? 60) * 1000,
    initialRetryDelayMs: (config.initial_retry_delay ?? 0.01) * 1000,
    maxRetryDelayMs: (config.max_retry_delay ?? 60) * 1000,
    concurrency: config.concurrency_limit === -1 ? MAX_CONCURRENCY : 1,
  }
}

function positiveViolation(value: number): string | undefined {
  return value > 0 ? undefined : 'value must be greater than 0'
}
