import { isUuid } from '../schema/validate.ts'
import { parseJson } from '../util/json.ts'
import { DaoError } from './errors.ts'

const DEFAULT_SIZE = 100
const LARGEST_SIZE = 1000

/** Checks the size of a page; absent means 100. @throws {DaoError} code 9 */
export function pageSize(size: number | undefined): number {
  if (size === undefined) return DEFAULT_SIZE
  if (Number.isNaN(size)) throw new DaoError(9, 'size must be a number')
  if (!Number.isInteger(size) || size < 1 || size > LARGEST_SIZE)
    throw new DaoError(9, `size must be an integer between 1 and ${LARGEST_SIZE}`)
  return size
}

/** Kong's token for "after this id": unpadded base64 of a JSON list with the id. */
export function encodeOffset(id: string): string {
  return Buffer.from(JSON.stringify([id]))
    .toString('base64')
    .replace(/=+$/, '')
}

/** The id in a token. @throws {DaoError} code 7 */
export function decodeOffset(offset: string): string {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(offset)) throw invalidOffset(offset, 'base64')
  const list = parseJson(Buffer.from(offset, 'base64').toString())
  const id: unknown = Array.isArray(list) && list.length === 1 ? list[0] : undefined
  if (!isUuid(id)) throw invalidOffset(offset, 'json')
  return id.toLowerCase()
}

function invalidOffset(offset: string, encoding: 'base64' | 'json'): DaoError {
  return new DaoError(7, `'${offset}' is not a valid offset: bad ${encoding} encoding`)
}
