/** The database that the settings name, for a gateway and for the commands that work without one: both find the same files. */
import { join } from 'node:path'
import type { Settings } from './config/settings.ts'
import type { Database } from './db/database.ts'
import { createDatabase } from './db/open.ts'
import type { AnyPlugin } from './plugin/define.ts'
import { loadPlugins } from './plugin/loader.ts'

/** The embedded database in the data directory. @throws {GatewayError} as `createDatabase` */
export async function openSqliteDatabase(settings: Settings, plugins: ReadonlyMap<string, AnyPlugin>): Promise<Database> {
  const file = join(settings.prefix, 'sallyport.sqlite')
  return await createDatabase({ kind: 'sqlite', file, keyringFile: settings.keyring_file, plugins: schemasOf(plugins) })
}

/** No database: everything in memory, and in `persistFile` for the next start where one is given. @throws {GatewayError} as `createDatabase` */
export async function openOffDatabase(plugins: ReadonlyMap<string, AnyPlugin>, persistFile?: string): Promise<Database> {
  return await createDatabase({ kind: 'off', plugins: schemasOf(plugins), ...(persistFile === undefined ? {} : { persistFile }) })
}

/** The installed plugins that the setting `plugins` allows: `bundled` is all that are installed here. @throws {Error} one is not installed, or cannot be loaded */
export async function loadEnabledPlugins({ plugins: names, plugins_dir }: Settings): Promise<ReadonlyMap<string, AnyPlugin>> {
  const installed = await loadPlugins(plugins_dir)
  if (names.includes('bundled')) return installed
  const missing = names.filter((name) => name !== 'off' && !installed.has(name))
  if (missing.length > 0) throw new Error(`plugins: not installed: ${missing.join(', ')}`)
  return new Map([...installed].filter(([name]) => names.includes(name)))
}

function schemasOf(plugins: ReadonlyMap<string, AnyPlugin>) {
  return new Map([...plugins].map(([name, plugin]) => [name, plugin.schema]))
}
