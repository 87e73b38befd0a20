/** What the gateway lends to a plugin's configuration. Everything here outlives a reload; `close` of the plugin gives back what it took. */
import type { HttpClient } from '../oauth/http.ts'
import type { JsonObject } from '../schema/validate.ts'
import type { Log } from '../telemetry/log.ts'

export interface HttpClientOptions {
  /** Milliseconds for connect (with TLS), for each send and each read; the whole exchange may take three times as long. */
  readonly timeoutMs: number
  /** Milliseconds that an idle connection is kept; 0 closes it after use. */
  readonly keepaliveMs: number
  /** Certificates are verified against the gateway's trusted set unless this is false. */
  readonly verifyTls: boolean
  /** Largest answer in bytes; default 1 MiB. */
  readonly maxResponseBytes?: number
  /** Milliseconds for connect (with TLS), where it is not `timeoutMs`. */
  readonly connectTimeoutMs?: number
  /** Milliseconds for the whole exchange, where it is not three times `timeoutMs`. */
  readonly deadlineMs?: number
}

/** Objects of this plugin that all workers share through the database (key sets, discovery documents). */
export interface PluginObjects {
  /** The object as the newest snapshot has it. */
  find(kind: string, key: string): JsonObject | undefined
  /** Stores it; other workers see it with the next snapshot. Never rejects: a failure is logged, and the object stays this worker's own. */
  publish(kind: string, key: string, value: JsonObject): void
}

/** Settings that plugins look at, by their kong.conf names or ours. */
export interface PluginSettings {
  readonly introspection_cache_max_entries: number
  readonly introspection_cache_negative_max_entries: number
  readonly introspection_cache_max_bytes: number
  /** Seconds an answer without `exp` lives at most when `ttl` sets no limit. */
  readonly introspection_cache_ttl_without_exp: number
}

export interface PluginKit {
  /** Id of the plugin entity: caches are never shared between configurations. */
  readonly pluginId: string
  readonly log: Log
  /** Id of this node, and the version that it names itself by; absent in tests of plugins that do not ask. */
  readonly node?: { readonly id: string; readonly version: string }
  /** Epoch milliseconds. */
  readonly now: () => number
  readonly settings: PluginSettings
  readonly objects: PluginObjects
  httpClient(options: HttpClientOptions): HttpClient
  /**
   * Registers what is still to be sent when this process ends: called after the last request was answered, perhaps more than once, and awaited for at most
   * `withinMs`.
   */
  onExit(flush: (withinMs: number) => Promise<void>): void
  /** One object per name for all configurations of all plugins in this process: caches with a common bound. Made at first use. */
  shared<T>(name: string, make: () => T): T
}
