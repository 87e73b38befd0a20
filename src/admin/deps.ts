import type { Database } from '../db/database.ts'
import type { AdminRoute } from '../plugin/admin-route.ts'
import type { AnyPlugin } from '../plugin/define.ts'
import type { JsonObject } from '../schema/validate.ts'
import type { LineWriter } from '../telemetry/line-writer.ts'
import type { Log } from '../telemetry/log.ts'

/** What runs, in figures, for `GET /status`. */
export interface StatusFigures {
  readonly server: {
    readonly connections_accepted: number
    readonly connections_active: number
    readonly connections_handled: number
    readonly connections_reading: number
    readonly connections_waiting: number
    readonly connections_writing: number
    readonly total_requests: number
  }
  /** Memory of each worker's heap. */
  readonly workers: readonly { readonly pid: number; readonly heapBytes: number }[]
}

/** The level below which nothing is logged. */
export interface LogLevelControl {
  get(): string
  /** False for a level that does not exist. */
  set(level: string): boolean
}

/** What the Admin and the Status API need of the rest of the gateway. */
export interface AdminDeps {
  readonly database: Database
  /** The installed plugins that are enabled, by name. */
  readonly plugins: ReadonlyMap<string, Pick<AnyPlugin, 'schema' | 'version' | 'priority'>>
  /** Endpoints that plugins bring along. */
  readonly routes: readonly AdminRoute[]
  /** `configuration` of `GET /`: the settings without secrets. `database` is set to the kind of {@link database}. */
  readonly configuration: JsonObject
  readonly nodeId: string
  /** The Kong version that this gateway is compatible with: three numbers, nothing else. */
  readonly version: string
  readonly ownVersion: string
  readonly processes: () => { readonly master: number; readonly workers: readonly number[] }
  readonly status: () => StatusFigures | Promise<StatusFigures>
  /** The metrics and their media type for `GET /metrics`; null while nobody asked for metrics. */
  readonly metrics: () => Promise<{ readonly type: string; readonly text: string } | null>
  /** True while a worker routes by a configuration. */
  readonly routing: () => boolean
  /** Why requests should not be sent here yet, or any more; null when they may. */
  readonly unreadiness: () => string | null
  /** From now on `GET /status/ready` answers 503, so that a load balancer stops sending. */
  readonly drain: () => void
  /** Secret that every Admin request must bring; null for none. */
  readonly token: string | null
  /** Whether answers carry `Server` and `X-Kong-Admin-Latency` (setting `headers`). */
  readonly headers: { readonly server: boolean; readonly latency: boolean }
  /** Origins of `admin_gui_url`; empty when it is unset. */
  readonly guiOrigins: readonly string[]
  /** Bytes of the largest request body. */
  readonly maxBodyBytes: number
  /** Done when every worker serves what the database now holds. Bounded by the caller; a rejection is logged and the write stands. */
  readonly applyChange: () => Promise<void>
  /** Empties the caches of all workers. */
  readonly purge: () => Promise<void>
  readonly logLevel?: LogLevelControl
  /** One line per request. */
  readonly accessLog: LineWriter
  readonly log: Log
}
