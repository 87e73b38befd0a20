import { DaoError } from '../../db/errors.ts'
import type { Endpoint } from '../endpoint.ts'
import { NO_CONTENT, NOT_FOUND } from '../endpoint.ts'
import { listAnswer, paging } from '../listing.ts'

/** Kinds of entities that Kong always has and that this gateway does not have yet. */
const KINDS = ['upstreams'] as const

/**
 * Collections without any entity. decK and other clients list every kind that Kong always has before they do anything, and give up at 404; an
 * empty list is the truth. What would make an entity is refused.
 */
export function emptyEndpoints(): readonly Endpoint[] {
  return KINDS.flatMap((kind): Endpoint[] => {
    const refuse = (): never => {
      throw new DaoError(12, `cannot create or update '${kind}' entities: not supported by this version of Sallyport`)
    }
    return [
      {
        path: `/${kind}`,
        unlisted: true,
        methods: {
          GET: ({ query }) => {
            paging(query)
            return listAnswer([], null, `/${kind}`)
          },
          POST: refuse,
        },
      },
      {
        path: `/${kind}/{${kind}}`,
        unlisted: true,
        methods: { GET: () => NOT_FOUND, PUT: refuse, PATCH: () => NOT_FOUND, DELETE: () => NO_CONTENT },
      },
    ]
  })
}
