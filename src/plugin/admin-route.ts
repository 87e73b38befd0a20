/** Admin API endpoints and stored objects that a plugin brings along, in `admin.ts` of its folder. */
import type { JsonObject } from '../schema/validate.ts'
import type { Log } from '../telemetry/log.ts'

export interface AdminRequest {
  /** Path parameters, decoded. */
  readonly params: Readonly<Record<string, string>>
  readonly query: Readonly<Record<string, unknown>>
  readonly body: JsonObject
}

export interface AdminAnswer {
  readonly status: number
  /** Sent as JSON, bytes as they are (`headers` says what they are); absent for 204. */
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

/** One endpoint. `path` may hold parameters as `{name}`. */
export interface AdminRoute {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  readonly path: string
  handle(request: AdminRequest): AdminAnswer | Promise<AdminAnswer>
}

/** An object as the database keeps it for this plugin. */
export interface KeptObject {
  readonly id: string
  readonly key: string
  /** Epoch seconds. */
  readonly created_at: number
  readonly value: JsonObject
}

/** What the primary lends to a plugin's Admin part. */
export interface PluginAdminKit {
  readonly log: Log
  /** This plugin's stored objects, by kind. */
  list(kind: string): Promise<readonly KeptObject[]>
  get(kind: string, key: string): Promise<KeptObject | null>
  /** Stores and sends it to all workers; done when they have it. */
  put(kind: string, key: string, value: JsonObject): Promise<KeptObject>
  /** Deletes one object, or all of the kind; answers how many. */
  delete(kind: string, key?: string): Promise<number>
}

/** The default export of a plugin's `admin.ts`. */
export interface PluginAdmin {
  /** Called once when the gateway starts, before the first snapshot: makes what must be there (generated keys). */
  prepare?(kit: PluginAdminKit): Promise<void>
  routes(kit: PluginAdminKit): readonly AdminRoute[]
}
