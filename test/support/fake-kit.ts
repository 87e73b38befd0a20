import type { PluginKit } from '../../src/plugin/kit.ts'
import { recordingLog, sharedObjects } from './fake-context.ts'

/** What the gateway lends to a configuration, in a process of its own: no network, no stored objects, a log that nobody reads. `parts` take the place of what it has. */
export function fakeKit(parts: Partial<PluginKit> = {}): PluginKit {
  return {
    pluginId: 'p1',
    log: recordingLog().log,
    now: Date.now,
    settings: {
      introspection_cache_max_entries: 1000,
      introspection_cache_negative_max_entries: 100,
      introspection_cache_max_bytes: 10_000_000,
      introspection_cache_ttl_without_exp: 3600,
    },
    objects: { find: () => undefined, publish() {} },
    httpClient: () => () => Promise.reject(new Error('no network')),
    onExit() {},
    shared: sharedObjects(),
    ...parts,
  }
}
