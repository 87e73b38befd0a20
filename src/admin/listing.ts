/** Lists: `size`, `offset` and `tags` of the query, and the link to the next page. */
import type { PageOptions } from '../db/database.ts'
import { DaoError } from '../db/errors.ts'
import { tag } from '../entities/validators.ts'
import type { JsonObject } from '../schema/validate.ts'
import type { Answer } from './endpoint.ts'
import { ok } from './endpoint.ts'

const MAX_TAGS = 5

/** `size` and `offset`. A size that is no number is NaN, which the database refuses with its own text. */
export function paging(query: JsonObject): Pick<PageOptions, 'size' | 'offset'> {
  const { size, offset } = query
  return {
    ...(size === undefined ? {} : { size: numberOf(size) }),
    ...(offset === undefined ? {} : { offset: textOf(offset) }),
  }
}

/** Whatever is no text (a list, a member of its own) is not a valid offset either. */
function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

function numberOf(size: unknown): number {
  return typeof size === 'string' && size.trim() !== '' ? Number(size) : Number.NaN
}

/**
 * The tag filter: `a,b` all of them, `a/b` any of them, at most five. Of several filters the first counts.
 * @throws {DaoError} code 11
 */
export function tagFilter(query: JsonObject): Pick<PageOptions, 'tags'> {
  const given: unknown = Array.isArray(query['tags']) ? query['tags'][0] : query['tags']
  if (given === undefined) return {}
  if (typeof given !== 'string' || given === '') throw invalidTags('cannot be null')
  const all = given.includes(',')
  const any = given.includes('/')
  const names = given.split(any ? '/' : ',')
  if ((all && any) || !names.every((name) => name !== '' && tag(name) === undefined)) throw invalidTags('invalid filter syntax')
  if (names.length > MAX_TAGS) throw invalidTags(`cannot query more than ${MAX_TAGS} tags`)
  return { tags: { names, match: any ? 'any' : 'all' } }
}

function invalidTags(text: string): DaoError {
  return new DaoError(11, `invalid option (tags: ${text})`, { options: { tags: text } })
}

/**
 * A page as Kong answers it: `next` is a path, `offset` is there only when another page is.
 * @param path  of the list, parameters encoded
 * @param kept  arguments of the query that the next page needs too, in order
 */
export function listAnswer(
  data: readonly unknown[],
  offset: string | null,
  path: string,
  kept: readonly (readonly [string, unknown])[] = [],
): Answer {
  if (offset === null) return ok({ data, next: null })
  const rest = kept.flatMap(([name, value]) => (value === undefined ? [] : [`&${name}=${encodeURIComponent(String(value))}`]))
  return ok({ data, next: `${path}?offset=${encodeURIComponent(offset)}${rest.join('')}`, offset })
}
