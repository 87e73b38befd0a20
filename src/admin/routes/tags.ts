import type { Database } from '../../db/database.ts'
import { DaoError } from '../../db/errors.ts'
import { pageSize } from '../../db/paging.ts'
import { decodeBase64url, encodeBase64url } from '../../util/base64url.ts'
import type { Answer, Endpoint, Exchange } from '../endpoint.ts'
import { parameter } from '../endpoint.ts'
import { listAnswer, paging } from '../listing.ts'

/** One tag of one entity. */
interface TagRow {
  readonly tag: string
  readonly entity_name: string
  readonly entity_id: string
}

/** `/tags` and `/tags/{tag}`: which entities bear which tags. */
export function tagEndpoints(database: Database): readonly Endpoint[] {
  return [
    { path: '/tags', methods: { GET: async (request) => pageOf(await tagRows(database), request, '/tags') } },
    {
      path: '/tags/{tag}',
      methods: {
        GET: async (request) => {
          const tag = parameter(request, 'tag')
          const rows = (await tagRows(database)).filter((row) => row.tag === tag)
          return pageOf(rows, request, `/tags/${encodeURIComponent(tag)}`)
        },
      },
    },
  ]
}

async function tagRows(database: Database): Promise<TagRow[]> {
  const rows: TagRow[] = []
  for (const [entity_name, entities] of Object.entries(await database.export())) {
    for (const { id, tags } of entities) {
      if (Array.isArray(tags)) for (const tag of tags) rows.push({ tag: String(tag), entity_name, entity_id: id })
    }
  }
  return rows.sort((a, b) => compare(keyOf(a), keyOf(b)))
}

function keyOf({ entity_name, entity_id, tag }: TagRow): string {
  return JSON.stringify([entity_id, entity_name, tag])
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** The offset is the last row's key, so that rows that come and go between two pages neither repeat nor hide others. */
function pageOf(rows: readonly TagRow[], { query }: Exchange, path: string): Answer {
  const { size: givenSize, offset } = paging(query)
  const size = pageSize(givenSize)
  const after = offset === undefined ? null : decodeOffset(offset)
  const rest = after === null ? rows : rows.filter((row) => keyOf(row) > after)
  const data = rest.slice(0, size)
  const last = data.at(-1)
  const next = rest.length > size && last !== undefined ? encodeBase64url(keyOf(last)) : null
  return listAnswer(data, next, path, [['size', query['size']]])
}

/** @throws {DaoError} code 7 */
function decodeOffset(offset: string): string {
  const bytes = decodeBase64url(offset)
  if (bytes === null) throw new DaoError(7, `'${offset}' is not a valid offset: bad base64 encoding`)
  const text = Buffer.from(bytes).toString()
  if (!/^\["[0-9a-f-]{36}","[a-z_]+",".*"\]$/s.test(text)) throw new DaoError(7, `'${offset}' is not a valid offset: bad json encoding`)
  return text
}
