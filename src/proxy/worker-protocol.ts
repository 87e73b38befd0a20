/**
 * Messages between the primary and its workers. The primary owns the database and the Admin API; workers own the proxy listeners.
 *
 *   primary                                worker
 *     │ start {settings, secrets, …} ──────> │   opens nothing before its first snapshot is there
 *     │ frame {version, entities}    ──────> │   builds a snapshot aside, swaps
 *     │ <────────────────── applied {version}│   or failed {version, reason}: the old snapshot serves on
 *     │ <────────────── listening {addresses}│   once, after the first snapshot
 *     │ <───────── object {plugin, kind, …}  │   to keep in the database and send to all
 *     │ stats? {metrics?}  ────────────────> │
 *     │ <────────────────────────────── stats│
 *     │ purge, drain, ticket-keys {keys} ──> │
 *     │ <─────────────────────drained {stats}│   all is answered, and counted
 *     │ stop ──────────────────────────────> │   ends
 *
 * A draining worker does not end by itself: the primary hands over accepted connections in messages of its own on the same channel, and a worker that was gone
 * before it had read them would take them along. Whatever the primary sent before `stop` has been read, and given back, when the worker reads `stop`.
 */
import type { MetricSnapshot } from '../telemetry/metrics.ts'
import type { Frame, FrameObject } from './snapshot.ts'
import type { WorkerSecrets, WorkerSettings } from './worker-settings.ts'

export type ToWorker =
  | {
      readonly type: 'start'
      readonly settings: WorkerSettings
      readonly secrets: WorkerSecrets
      readonly ticketKeys: Buffer
    }
  | { readonly type: 'ticket-keys'; readonly keys: Buffer }
  | { readonly type: 'frame'; readonly frame: Frame }
  | { readonly type: 'purge' }
  | { readonly type: 'stats'; readonly id: number; readonly metrics: boolean }
  | { readonly type: 'drain' }
  | { readonly type: 'stop' }

export type FromWorker =
  | { readonly type: 'ready' }
  | { readonly type: 'listening'; readonly addresses: readonly string[] }
  /** With all that it counted: nothing comes after. */
  | { readonly type: 'drained'; readonly stats: WorkerStats }
  | { readonly type: 'applied'; readonly version: number }
  | { readonly type: 'failed'; readonly version: number; readonly reason: string }
  | ({ readonly type: 'object' } & FrameObject)
  | { readonly type: 'stats'; readonly id: number; readonly stats: WorkerStats }
  /** A listener could not be opened: the gateway cannot start. */
  | { readonly type: 'fatal'; readonly reason: string }

export interface WorkerStats {
  readonly pid: number
  readonly heapBytes: number
  readonly accepted: number
  /** Of the accepted connections, those that were not turned away. */
  readonly handled: number
  readonly active: number
  /** Of the active connections: those whose request is coming in, those between two requests; the others are being answered. */
  readonly reading: number
  readonly waiting: number
  readonly requests: number
  readonly timers: number
  /** Series that found no place. */
  readonly metricErrors: number
  /** Only where asked for. */
  readonly metrics: readonly MetricSnapshot[]
}
