import { existsSync } from 'node:fs'
import { type LoadedSettings, loadPrefix, loadSettings, type SettingsSources } from '../config/load.ts'
import { CommandError, type Invocation } from './command.ts'

/** Where the settings of this call come from: conf file, environment, `-c` and `-p`. */
export function sourcesOf({ values, terminal }: Invocation): SettingsSources {
  return {
    file: values['conf'],
    env: terminal.env,
    flags: values['prefix'] === undefined ? {} : { prefix: values['prefix'] },
    cwd: terminal.cwd,
  }
}

/**
 * Loads the settings of this call and prints the warnings.
 *
 * @throws {SettingsError} with every error
 */
export function loadFor(invocation: Invocation): LoadedSettings {
  const loaded = loadSettings(sourcesOf(invocation))
  invocation.terminal.verbose(loaded.file === null ? 'no conf file, defaults and environment' : `conf file: ${loaded.file}`)
  for (const warning of loaded.warnings) invocation.terminal.err(`Warning: ${warning}`)
  return loaded
}

/**
 * The data directory of this call, for commands that speak to a running process.
 *
 * @throws {CommandError} there is no such directory
 */
export function existingPrefix(invocation: Invocation): string {
  const prefix = loadPrefix(sourcesOf(invocation))
  if (!existsSync(prefix)) throw new CommandError(`no such prefix: ${prefix}`)
  return prefix
}
