import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { errorText } from '../util/errors.ts'
import type { PluginAdmin } from './admin-route.ts'
import { pluginApi } from './api.ts'
import type { AnyPlugin } from './define.ts'

/** A folder in the plugins directory that is not a usable plugin. */
export class PluginLoadError extends Error {
  readonly code = 'GW_PLUGIN_LOAD'
}

const OWN_PLUGINS = join(import.meta.dirname, '..', 'plugins')

/**
 * Loads every plugin of the gateway, and those of `extraFolder` if given. A plugin is a folder with a `handler.ts` (or `.js`, `.mjs`) whose default export is
 * made by `definePlugin`, or is a function that makes it from the {@link pluginApi}, and bears the folder's name.
 *
 * @throws {PluginLoadError} naming the folder and what is wrong with it
 */
export async function loadPlugins(extraFolder?: string | null): Promise<ReadonlyMap<string, AnyPlugin>> {
  const plugins = new Map<string, AnyPlugin>()
  for (const root of rootsWith(extraFolder)) {
    if (!existsSync(root)) throw new PluginLoadError(`plugins_dir: no such folder: ${root}`)
    for (const entry of readdirSync(root, { withFileTypes: true })) {
      if (!entry.isDirectory()) continue
      const file = ['handler.ts', 'handler.js', 'handler.mjs'].map((name) => join(root, entry.name, name)).find(existsSync)
      if (file === undefined) throw new PluginLoadError(`plugin '${entry.name}': no handler.ts or handler.js in ${join(root, entry.name)}`)
      if (plugins.has(entry.name)) throw new PluginLoadError(`plugin '${entry.name}' is there twice: ${join(root, entry.name)}`)
      plugins.set(entry.name, await loadPlugin(entry.name, file))
    }
  }
  return plugins
}

async function loadPlugin(name: string, file: string): Promise<AnyPlugin> {
  const exported = await importDefault(file).catch((error: unknown) => {
    throw new PluginLoadError(`plugin '${name}' cannot be loaded from ${file}: ${errorText(error)}`, { cause: error })
  })
  const made = typeof exported === 'function' ? (exported(pluginApi) as unknown) : exported
  const plugin = made as Partial<AnyPlugin> | undefined
  if (typeof plugin?.configure !== 'function' || typeof plugin.priority !== 'number' || plugin.schema === undefined) {
    throw new PluginLoadError(`plugin '${name}': the default export of ${file} is not made by definePlugin`)
  }
  if (plugin.schema.name !== name)
    throw new PluginLoadError(`plugin '${name}': its schema is called '${plugin.schema.name}'; folder and name must be equal`)
  return plugin as AnyPlugin
}

/**
 * Loads the Admin parts of `plugins`: `admin.ts` (or `.js`, `.mjs`) beside a handler, default export a {@link PluginAdmin}.
 * @throws {PluginLoadError}
 */
export async function loadPluginAdmins(
  plugins: ReadonlyMap<string, AnyPlugin>,
  extraFolder?: string | null,
): Promise<ReadonlyMap<string, PluginAdmin>> {
  const admins = new Map<string, PluginAdmin>()
  for (const name of plugins.keys()) {
    const file = rootsWith(extraFolder)
      .flatMap((root) => ADMIN_FILES.map((admin) => join(root, name, admin)))
      .find(existsSync)
    if (file === undefined) continue
    const admin = (await importDefault(file)) as Partial<PluginAdmin> | undefined
    if (typeof admin?.routes !== 'function') throw new PluginLoadError(`plugin '${name}': the default export of ${file} has no routes`)
    admins.set(name, admin as PluginAdmin)
  }
  return admins
}

const ADMIN_FILES = ['admin.ts', 'admin.js', 'admin.mjs']

function rootsWith(extraFolder: string | null | undefined): string[] {
  return [OWN_PLUGINS, ...(extraFolder ? [extraFolder] : [])]
}

async function importDefault(file: string): Promise<unknown> {
  const module: { readonly default?: unknown } = await import(pathToFileURL(file).href)
  return module.default
}
