import type { Dao } from '../../db/database.ts'
import type { Endpoint } from '../endpoint.ts'
import { message, ok } from '../endpoint.ts'
import { shownBy } from '../endpoints.ts'

/** `GET /consumers?custom_id=`: the one consumer with this id of another system, as a list. Everything else is the generated endpoint's. */
export function withCustomIdFilter(consumers: Dao, generated: Endpoint): Endpoint {
  const list = generated.methods.GET
  if (list === undefined) return generated
  return {
    ...generated,
    methods: {
      ...generated.methods,
      GET: async (request) => {
        const customId = request.query['custom_id']
        if (customId === undefined) return await list(request)
        if (typeof customId !== 'string' || customId === '') return message(400, 'custom_id must be an unempty string')
        const consumer = await consumers.selectBy('custom_id', customId)
        return ok({ data: consumer === null ? [] : [shownBy(consumers.schema)(consumer)], next: null })
      },
    },
  }
}
