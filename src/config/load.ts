/**
 * From texts to settings. Four sources, each winning over those before it:
 *
 *   built-in defaults < file < KONG_<NAME> variables < SALLYPORT_<NAME> variables < command line
 *
 * An empty text takes a setting back to its default. A `{vault://env/…}` reference, as the whole text or as one item of a list, is replaced
 * by what it refers to. Every error is found before any is reported; a name that means nothing to us is reported once and does no harm.
 */
import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { isVaultReference } from '../schema/field.ts'
import { errorText } from '../util/errors.ts'
import { checkSettings } from './check.ts'
import { parseConfFile, unescapeHash } from './conf-file.ts'
import { type Place, type Setting, SettingViolation } from './setting.ts'
import { isSettingName, SETTING_NAMES, SETTINGS, SETTINGS_WITHOUT_EFFECT, type SettingName, type Settings } from './settings.ts'
import { splitList } from './units.ts'
import { type Environment, readEnvVault, VaultReferenceError } from './vault-reference.ts'

/** Where settings come from. */
export interface SettingsSources {
  /** A conf file that must exist; null reads none; left out, the first of `DEFAULT_FILES` that exists is read. */
  readonly file?: string | null | undefined
  /** `process.env`, or nothing. */
  readonly env?: Environment | undefined
  /** Settings by name that win over everything: those given on the command line. */
  readonly flags?: Partial<Readonly<Record<SettingName, string>>> | undefined
  /** What relative paths are relative to; the working directory of the process if left out. */
  readonly cwd?: string | undefined
}

/** Settings, and what the operator should know about them. */
export interface LoadedSettings {
  readonly settings: Settings
  readonly warnings: readonly string[]
  /** The file that was read (absolute), or null. */
  readonly file: string | null
}

/** The settings cannot be used. The message has one line per error. */
export class SettingsError extends Error {
  readonly code = 'GW_SETTINGS'
  readonly errors: readonly string[]

  constructor(errors: readonly string[]) {
    super(errors.join('\n'))
    this.name = 'SettingsError'
    this.errors = errors
  }
}

/** Files that are looked for, in this order, when none is named. */
export const DEFAULT_FILES: readonly string[] = [
  './sallyport.conf',
  '/etc/sallyport/sallyport.conf',
  '/etc/kong/kong.conf',
  '/etc/kong.conf',
]

/**
 * Loads the settings of a process.
 *
 * @throws {SettingsError} with every error that was found, in Kong's words where Kong has the error
 */
export function loadSettings(sources: SettingsSources = {}): LoadedSettings {
  const { file, layers, texts, reading } = readSources(sources)
  const { errors } = reading
  const settings = readSettings(texts, reading)
  errors.push(...checkSettings(settings))
  if (errors.length > 0) throw new SettingsError(errors)
  return { settings, warnings: [...warnOfNames(layers), ...warnOfLogFormats(texts)], file }
}

/**
 * Finds the data directory alone, for the commands that speak to a running process: they must work while the settings are broken.
 *
 * @throws {SettingsError} a named file is missing
 */
export function loadPrefix(sources: SettingsSources = {}): string {
  const { texts, reading } = readSources(sources)
  return readPrefix(texts, reading)
}

/** Texts by the names that the source gave them. */
type Layer = ReadonlyMap<string, string>

/** Texts by setting; what is absent has its default. */
type Texts = ReadonlyMap<SettingName, string>

interface Reading {
  readonly env: Environment
  readonly cwd: string
  /** Grows. */
  readonly errors: string[]
}

const NOTHING: Layer = new Map()

interface SourceTexts {
  /** The file that was read (absolute), or null. */
  readonly file: string | null
  /** Those whose names the operator may have misspelt: all but the command line. */
  readonly layers: readonly Layer[]
  readonly texts: Texts
  readonly reading: Reading
}

function readSources(sources: SettingsSources): SourceTexts {
  const cwd = resolve(sources.cwd ?? '.')
  const env = sources.env ?? {}
  const file = findFile(sources.file, cwd)
  const errors: string[] = []
  const layers = [file === null ? NOTHING : readConf(file, errors), readVariables(env, 'KONG_'), readVariables(env, 'SALLYPORT_')]
  return { file, layers, texts: mergeLayers([...layers, readFlags(sources.flags ?? {})]), reading: { env, cwd, errors } }
}

function findFile(file: string | null | undefined, cwd: string): string | null {
  if (file === null) return null
  if (file !== undefined) {
    if (!existsSync(resolve(cwd, file))) throw new SettingsError([`no file at: ${file}`])
    return resolve(cwd, file)
  }
  return DEFAULT_FILES.map((candidate) => resolve(cwd, candidate)).find((candidate) => existsSync(candidate)) ?? null
}

function readConf(file: string, errors: string[]): Layer {
  const conf = parseConfFile(readText(file))
  errors.push(...conf.errors.map(({ line }) => `${file}: line ${line} is not of form: name = value`))
  return conf.values
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new SettingsError([`could not read ${file}: ${errorText(error)}`])
  }
}

/**
 * Variables that an orchestrator adds for a service called `kong` or `sallyport` (`KONG_SERVICE_HOST`, `KONG_PORT_8000_TCP_ADDR`), and the
 * version that Kong's own image carries: they were never meant as settings.
 */
const NOT_SETTINGS = /(?:^|_)SERVICE_(?:HOST|PORT)(?:_|$)|(?:^|_)PORT_\d+_(?:TCP|UDP)|^VERSION$/
const LINKED_ADDRESS = /^(?:tcp|udp|sctp):\/\//

function readVariables(env: Environment, prefix: string): Layer {
  const values = new Map<string, string>()
  for (const [variable, value] of Object.entries(env)) {
    const name = variable.slice(prefix.length)
    if (value === undefined || !variable.startsWith(prefix) || !/^[A-Z0-9_]+$/.test(name)) continue
    if (NOT_SETTINGS.test(name) || LINKED_ADDRESS.test(value)) continue
    values.set(name.toLowerCase(), unescapeHash(value))
  }
  return values
}

function readFlags(flags: Readonly<Record<string, string | undefined>>): Layer {
  const values = new Map<string, string>()
  for (const [name, value] of Object.entries(flags)) {
    if (!isSettingName(name)) throw new TypeError(`there is no setting '${name}'`)
    if (value !== undefined) values.set(name, value)
  }
  return values
}

/** The last layer that knows a setting by any of its names wins; within a layer, the last of its names. */
function mergeLayers(layers: readonly Layer[]): Texts {
  const texts = new Map<SettingName, string>()
  for (const layer of layers) {
    for (const name of SETTING_NAMES) {
      const text = [name, ...SETTINGS[name].aliases].map((alias) => layer.get(alias)).findLast((value) => value !== undefined)
      if (text !== undefined) texts.set(name, text.trim())
    }
  }
  return texts
}

function readSettings(texts: Texts, reading: Reading): Settings {
  const place: Place = { cwd: reading.cwd, prefix: readPrefix(texts, { ...reading, errors: [] }) }
  const values = SETTING_NAMES.map((name) => [name, readSetting(name, texts, place, reading)] as const)
  return Object.fromEntries<unknown>(values) as Settings
}

function readPrefix(texts: Texts, reading: Reading): string {
  const prefix = readSetting('prefix', texts, { cwd: reading.cwd, prefix: reading.cwd }, reading)
  return typeof prefix === 'string' ? prefix : reading.cwd
}

/** A text that is in error is reported and its default taken, so that the errors of the others are found too. */
function readSetting(name: SettingName, texts: Texts, place: Place, reading: Reading): unknown {
  const setting: Setting<unknown> = SETTINGS[name]
  const given = texts.get(name) ?? ''
  try {
    const text = dereference(name, given, texts, reading.env)
    return setting.read(text === '' ? setting.default : text, name, place)
  } catch (error) {
    if (!(error instanceof SettingViolation)) throw error
    reading.errors.push(error.message)
    return setting.read(setting.default, name, place)
  }
}

function dereference(name: SettingName, text: string, texts: Texts, env: Environment): string {
  if (!text.includes('{vault://')) return text
  const { kind }: Setting<unknown> = SETTINGS[name]
  const prefix = texts.get('vault_env_prefix')
  const read = (item: string, option: string): string => {
    if (!isVaultReference(item)) return item
    const value = readVault(item, option, prefix, env)
    checkSecretly(name, item, value)
    return value
  }
  if (!kind.list) return read(text, name)
  return splitList(text)
    .map((item, index) => read(item, `${name}[${index + 1}]`))
    .join(', ')
}

function readVault(reference: string, option: string, prefix: string | undefined, env: Environment): string {
  try {
    return readEnvVault(reference, env, prefix)
  } catch (error) {
    if (!(error instanceof VaultReferenceError)) throw error
    throw new SettingViolation(`failed to dereference '${reference}': ${error.message} for config option '${option}'`)
  }
}

/** What comes out of a vault is not echoed in an error; and a secret that turns out empty is a mistake, not "no secret". */
function checkSecretly(name: SettingName, reference: string, value: string): void {
  const setting: Setting<unknown> = SETTINGS[name]
  if (setting.kind.sensitive && value.trim() === '') throw new SettingViolation(`${name}: '${reference}' is empty`)
  try {
    setting.read(value, name, { cwd: '/', prefix: '/' })
  } catch (error) {
    if (!(error instanceof SettingViolation)) throw error
    throw new SettingViolation(`${name}: what '${reference}' refers to is not a valid value`)
  }
}

function warnOfNames(layers: readonly Layer[]): string[] {
  const names = new Set<string>()
  for (const layer of layers) {
    for (const [name, text] of layer) {
      if (!KNOWN_NAMES.has(name) && !isSatisfied(name, text.trim())) names.add(name)
    }
  }
  return names.size === 0 ? [] : [`settings without effect: ${[...names].sort().join(', ')}`]
}

const KNOWN_NAMES: ReadonlySet<string> = new Set(SETTING_NAMES.flatMap((name) => [name, ...SETTINGS[name].aliases]))

/** Whether we behave as the text asks although the setting has no effect. An empty text asks for nothing. */
function isSatisfied(name: string, text: string): boolean {
  if (text === '') return true
  const entry = SETTINGS_WITHOUT_EFFECT.find((candidate) =>
    candidate.name.endsWith('*') ? name.startsWith(candidate.name.slice(0, -1)) : name === candidate.name,
  )
  return entry?.satisfiedBy.includes(text) ?? false
}

/** nginx takes the name of a log format after the file; our format is fixed. */
function warnOfLogFormats(texts: Texts): string[] {
  return SETTING_NAMES.filter((name) => name.endsWith('_log') && /\s/.test(texts.get(name) ?? '')).map(
    (name) => `${name}: only the file has effect, what follows it has none`,
  )
}
