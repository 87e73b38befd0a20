import { isObject } from '../schema/validate.ts'
import { parseJson } from '../util/json.ts'

/** Variables by name, as `process.env` holds them. */
export type Environment = Readonly<Record<string, string | undefined>>

/** A vault reference taken apart: `{vault://<vault>/<resource>[/<key>][?option=value&…][#version]}`. */
export interface VaultReference {
  readonly vault: string
  readonly resource: string
  /** Member of the JSON object that the value is, or null for the value itself. */
  readonly key: string | null
  /** Options for this reference alone; they win over those of the vault. */
  readonly options: Readonly<Record<string, string>>
  /** 2 is the value before the present one; null is the present one. */
  readonly version: number | null
}

/** A reference that cannot be resolved; the message has Kong's wording and names the reference, never a value. */
export class VaultReferenceError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'VaultReferenceError'
  }
}

/** Takes a reference apart, or gives null if the whole text is not one. */
export function parseVaultReference(text: string): VaultReference | null {
  const match = /^\{vault:\/\/([a-z0-9_-]+)\/([^/?#{}]+)(?:\/([^/?#{}]+))?\/?(?:\?([^#{}]*))?(?:#(\d{1,9}))?\}$/i.exec(text)
  if (match === null) return null
  const [, vault = '', resource = '', key, query, version] = match
  return {
    vault,
    resource: decode(resource),
    key: key === undefined ? null : decode(key),
    options: Object.fromEntries(new URLSearchParams(query ?? '')),
    version: version === undefined ? null : Number(version),
  }
}

/**
 * Looks a reference to the `env` vault up. The variable's name is prefix + resource in upper case with `_` for `-`; version 2 is the
 * variable with the suffix `_PREVIOUS`; a key takes one member out of a JSON object (Kong's env vault).
 *
 * @param prefix of the vault, where the reference has none of its own
 * @throws {VaultReferenceError} not a reference, another vault, no such variable, no such member
 */
export function readEnvVault(text: string, env: Environment, prefix: string | null = null): string {
  const reference = parseVaultReference(text)
  if (reference === null) throw new VaultReferenceError(`not a reference [${text}]`)
  if (reference.vault !== 'env') throw new VaultReferenceError(`could not find vault (${reference.vault}) [${text}]`)
  const value = env[variableName(reference, prefix)]
  if (value === undefined) {
    throw new VaultReferenceError(`unable to load value (${reference.resource}) from vault (env): not found [${text}]`)
  }
  return reference.key === null ? value : readMember(value, reference.key, text)
}

function variableName(reference: VaultReference, prefix: string | null): string {
  const name = `${reference.options['prefix'] ?? prefix ?? ''}${reference.resource}`.toUpperCase().replaceAll('-', '_')
  return reference.version === 2 ? `${name}_PREVIOUS` : name
}

function readMember(json: string, key: string, text: string): string {
  const object = parseJson(json)
  const member = isObject(object) && Object.hasOwn(object, key) ? object[key] : undefined
  if (member === undefined || member === null) {
    throw new VaultReferenceError(`subfield ${key} not found in JSON secret [${text}]`)
  }
  return typeof member === 'string' ? member : JSON.stringify(member)
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
