/**
 * The keys that secrets are encrypted with at rest, in a file of their own so that a copy of the database alone shows none.
 *
 * File: JSON, mode 0600, made at the first start.
 * ```
 * { "version": 1, "primary": "5f0c9a12", "keys": { "5f0c9a12": "<32 bytes, base64url>" } }
 * ```
 * To rotate, add a key and make it the primary one: new writes use it, older values are read with theirs as long as it stays in the file.
 *
 * Sealed text: `$enc:v1:<key id>:<base64url of nonce, ciphertext and tag>`. AES-256-GCM, a random nonce of 96 bits for each value; a key is good for 2^32 values
 * (NIST SP 800-38D section 8.3), which configuration never comes near. The context (table and id) is authenticated, so that a sealed text is worth
 * nothing in another row.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { isObject } from '../schema/validate.ts'
import { errorCode, GatewayError } from '../util/errors.ts'
import { parseJson } from '../util/json.ts'
import { createFile, readFileIfPresent } from './durable-file.ts'

const PREFIX = '$enc:v1:'
const CIPHER = 'aes-256-gcm'
const KEY_BYTES = 32
const NONCE_BYTES = 12
const TAG_BYTES = 16
const CHECK_TEXT = 'sallyport'

/** The key file is missing, unreadable, or not the one that the stored values were encrypted with. Nothing has been changed. */
export class KeyringError extends GatewayError {
  readonly code = 'GW_KEYRING'
  readonly source = 'internal'
  readonly status = 500
}

/** Proof that a key is the right one: a known text sealed with it, kept beside the data. */
export interface KeyCheck {
  readonly key_id: string
  readonly sealed: string
}

/** Keys by id, and the one that new values are sealed with. */
export class Keyring {
  readonly #file: string
  readonly #primary: string
  readonly #keys: ReadonlyMap<string, Buffer>

  constructor(file: string, primary: string, keys: ReadonlyMap<string, Buffer>) {
    this.#file = file
    this.#primary = primary
    this.#keys = keys
  }

  /** Encrypts `text` for the place that `context` names. */
  seal(text: string, context: string): string {
    const nonce = randomBytes(NONCE_BYTES)
    const cipher = createCipheriv(CIPHER, this.#key(this.#primary), nonce).setAAD(Buffer.from(context))
    const sealed = Buffer.concat([nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()])
    return `${PREFIX}${this.#primary}:${sealed.toString('base64url')}`
  }

  /**
   * Decrypts a sealed text; any other text is given back as it is (a value from before its field was marked as a secret).
   * @throws {KeyringError} when the key is missing or does not fit
   */
  open(text: string, context: string): string {
    if (!text.startsWith(PREFIX)) return text
    const [id = '', data = ''] = text.slice(PREFIX.length).split(':')
    const key = this.#key(id)
    const sealed = Buffer.from(data, 'base64url')
    try {
      if (sealed.length < NONCE_BYTES + TAG_BYTES) throw new RangeError('too short')
      const decipher = createDecipheriv(CIPHER, key, sealed.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES }).setAAD(
        Buffer.from(context),
      )
      decipher.setAuthTag(sealed.subarray(-TAG_BYTES))
      return Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]).toString('utf8')
    } catch (error) {
      throw new KeyringError(
        `a secret of ${context} cannot be decrypted: the key '${id}' in ${this.#file} is not the one that it was encrypted with, or the value is damaged`,
        { cause: error },
      )
    }
  }

  /** A proof for the primary key, to be kept beside the data. */
  check(): KeyCheck {
    return { key_id: this.#primary, sealed: this.seal(CHECK_TEXT, checkContext(this.#primary)) }
  }

  /** @throws {KeyringError} when a key that the data was encrypted with is missing or another */
  verify(checks: readonly KeyCheck[]): void {
    for (const { key_id: id, sealed } of checks) this.open(sealed, checkContext(id))
  }

  #key(id: string): Buffer {
    const key = this.#keys.get(id)
    if (key === undefined) {
      throw new KeyringError(
        `the key file ${this.#file} lacks the key '${id}', which stored secrets are encrypted with; put back the key file that belongs to this database`,
      )
    }
    return key
  }
}

function checkContext(id: string): string {
  return `key ${id}`
}

/**
 * Reads the key file. A missing one is made, but only where nothing was ever encrypted: otherwise a new key would make the loss of the old one final.
 *
 * @param checks what the data says of the keys it was encrypted with; empty for a new database
 * @throws {KeyringError} naming the file
 */
export async function loadKeyring(file: string, checks: readonly KeyCheck[]): Promise<Keyring> {
  let text = await read(file)
  if (text === null && checks.length > 0) {
    const ids = checks.map((check) => `'${check.key_id}'`).join(', ')
    throw new KeyringError(
      `the key file ${file} is missing, but stored secrets are encrypted with its key ${ids}; put it back from a backup`,
    )
  }
  if (text === null) {
    await createFile(file, newKeyFile()).catch((error: unknown) => {
      throw new KeyringError(`the key file ${file} cannot be made: ${reasonOf(error)}`, { cause: error })
    })
    text = await read(file)
  }
  const keyring = parseKeyFile(file, text ?? '')
  keyring.verify(checks)
  return keyring
}

async function read(file: string): Promise<string | null> {
  try {
    return await readFileIfPresent(file)
  } catch (error) {
    throw new KeyringError(`the key file ${file} cannot be read: ${reasonOf(error)}`, { cause: error })
  }
}

function newKeyFile(): string {
  const id = randomBytes(4).toString('hex')
  return `${JSON.stringify({ version: 1, primary: id, keys: { [id]: randomBytes(KEY_BYTES).toString('base64url') } }, null, 2)}\n`
}

function parseKeyFile(file: string, text: string): Keyring {
  const content = parseJson(text)
  if (!isObject(content)) throw new KeyringError(`the key file ${file} is damaged: it is not a JSON object`)
  const { version, primary, keys: listed } = content
  if (version !== 1) throw new KeyringError(`the key file ${file} has an unknown version`)
  if (typeof primary !== 'string' || !isObject(listed) || !Object.hasOwn(listed, primary)) {
    throw new KeyringError(`the key file ${file} is damaged: 'primary' must name one of 'keys'`)
  }
  const keys = new Map<string, Buffer>()
  for (const [id, value] of Object.entries(listed)) {
    const key = typeof value === 'string' && /^[A-Za-z0-9_-]{43}$/.test(value) ? Buffer.from(value, 'base64url') : null
    if (key === null || !/^[A-Za-z0-9_-]{1,64}$/.test(id))
      throw new KeyringError(`the key file ${file} is damaged: a key is not ${KEY_BYTES} bytes of base64url`)
    keys.set(id, key)
  }
  return new Keyring(file, primary, keys)
}

function reasonOf(error: unknown): string {
  return String(errorCode(error) ?? error)
}
