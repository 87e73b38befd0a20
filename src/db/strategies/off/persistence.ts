/** The last configuration in a file, so that a restart without a declarative file serves it again. Secrets in it are sealed, as in a database. */
import type { EntitySchema } from '../../../schema/schema.ts'
import type { JsonObject } from '../../../schema/validate.ts'
import { isObject } from '../../../schema/validate.ts'
import { GatewayError } from '../../../util/errors.ts'
import { parseJson } from '../../../util/json.ts'
import type { Entity, StoredObject } from '../../database.ts'
import { readFileIfPresent, replaceFile } from '../../durable-file.ts'
import type { KeyCheck, Keyring } from '../../keyring.ts'
import { loadKeyring } from '../../keyring.ts'
import type { SealedObject } from '../../sealing.ts'
import { openEntity, openObject, sealEntity, sealObject } from '../../sealing.ts'

/** Version of the file. */
const FORMAT = 1

/** Everything that a database without a database holds. */
export interface Configuration {
  readonly hash: string
  readonly entities: ReadonlyMap<string, readonly Entity[]>
  readonly objects: readonly StoredObject[]
}

/** The file of the last configuration cannot be used. Nothing has been changed. */
export class PersistedConfigurationError extends GatewayError {
  readonly code = 'GW_PERSISTED_CONFIGURATION'
  readonly source = 'internal'
  readonly status = 500
}

/** Keeps configurations in `file`; the keys lie beside it, or in `keyringFile`. */
export class ConfigurationFile {
  readonly #file: string
  readonly #keyring: Keyring
  readonly #schemas: ReadonlyMap<string, EntitySchema>
  readonly #content: JsonObject | null

  private constructor(file: string, keyring: Keyring, schemas: ReadonlyMap<string, EntitySchema>, content: JsonObject | null) {
    this.#file = file
    this.#keyring = keyring
    this.#schemas = schemas
    this.#content = content
  }

  /**
   * Reads the file, if there is one, and the keys.
   * @throws {PersistedConfigurationError} the file is not one that this version wrote
   * @throws {KeyringError} its secrets cannot be read with this key file
   */
  static async open(file: string, keyringFile: string, schemas: ReadonlyMap<string, EntitySchema>): Promise<ConfigurationFile> {
    const text = await readFileIfPresent(file)
    const content = text === null ? null : parse(file, text)
    const checks = content === null ? [] : [content['keyring_check'] as KeyCheck]
    return new ConfigurationFile(file, await loadKeyring(keyringFile, checks), schemas, content)
  }

  /** What was kept last; null when nothing was. @throws {KeyringError} */
  last(): Configuration | null {
    if (this.#content === null) return null
    const stored = this.#content['entities'] as Readonly<Record<string, readonly Entity[]>>
    return {
      hash: String(this.#content['hash']),
      entities: new Map(
        [...this.#schemas.values()].map((schema) => [
          schema.name,
          (stored[schema.name] ?? []).map((entity) => openEntity(schema, entity, this.#keyring)),
        ]),
      ),
      objects: (this.#content['objects'] as readonly SealedObject[]).map((object) => openObject(object, this.#keyring)),
    }
  }

  /** Durable when it resolves; on failure the former configuration is still there. */
  async keep(configuration: Configuration): Promise<void> {
    const entities = [...this.#schemas.values()].map((schema) => [
      schema.name,
      (configuration.entities.get(schema.name) ?? []).map((entity) => sealEntity(schema, entity, this.#keyring)),
    ])
    const content = {
      format: FORMAT,
      hash: configuration.hash,
      keyring_check: this.#keyring.check(),
      entities: Object.fromEntries(entities) as JsonObject,
      objects: configuration.objects.map((object) => sealObject(object, this.#keyring)),
    }
    await replaceFile(this.#file, JSON.stringify(content))
  }
}

function parse(file: string, text: string): JsonObject {
  const content = parseJson(text)
  const advice = 'move it away and load the configuration again'
  if (!isObject(content)) throw new PersistedConfigurationError(`the last configuration in ${file} is damaged: ${advice}`)
  if (content['format'] !== FORMAT)
    throw new PersistedConfigurationError(`the last configuration in ${file} was written by another version: ${advice}`)
  if (!isObject(content['entities']) || !Array.isArray(content['objects']) || !isObject(content['keyring_check'])) {
    throw new PersistedConfigurationError(`the last configuration in ${file} is damaged: ${advice}`)
  }
  return content
}
