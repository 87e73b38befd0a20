import { randomUUID } from 'node:crypto'
import type { Database } from '../../db/database.ts'
import { isUuid } from '../../schema/validate.ts'
import type { Answer, Endpoint, Exchange, Handler } from '../endpoint.ts'
import { message, parameter } from '../endpoint.ts'

const UNKNOWN_SNI = message(404, 'SNI not found')

/** Kong does not lead from an SNI to its certificate. */
const ABSENT: ReadonlySet<string> = new Set(['/snis/{snis}/certificate'])

/**
 * The generated endpoints with Kong's addresses of Certificates: wherever a path names one, the name of one of its SNIs may stand for the id. PUT under a
 * name that nobody bears makes a Certificate that bears it.
 */
export function withSniAddresses(database: Pick<Database, 'entities'>, generated: readonly Endpoint[]): readonly Endpoint[] {
  return generated
    .filter(({ path }) => !ABSENT.has(path))
    .map((endpoint) => (endpoint.path.startsWith('/certificates/{') ? resolving(database, endpoint) : endpoint))
}

function resolving({ entities }: Pick<Database, 'entities'>, endpoint: Endpoint): Endpoint {
  const around =
    (method: string, handle: Handler): Handler =>
    async (request): Promise<Answer> => {
      const name = parameter(request, 'certificates')
      if (isUuid(name)) return await handle(request)
      const sni = await entities.snis.select(name)
      if (sni !== null) return await handle(addressed(request, idOf(sni['certificate'])))
      if (method !== 'PUT' || endpoint.path !== '/certificates/{certificates}') return UNKNOWN_SNI
      return await handle(addressed({ ...request, body: withName(request.body, name) }, randomUUID()))
    }
  const methods = Object.entries(endpoint.methods).map(([method, handle]) => [method, around(method, handle)])
  return { ...endpoint, methods: Object.fromEntries(methods) }
}

function addressed(request: Exchange, id: string): Exchange {
  return { ...request, params: { ...request.params, certificates: id } }
}

function idOf(reference: unknown): string {
  return typeof reference === 'object' && reference !== null && 'id' in reference ? String(reference.id) : ''
}

/** The body with one more SNI. What is not a list is left for the schema to refuse; a form has a single value without a list. */
function withName(body: Exchange['body'], name: string): Exchange['body'] {
  const given = body['snis']
  if (given === undefined || given === null || given === '') return { ...body, snis: [name] }
  if (typeof given === 'string') return { ...body, snis: given === name ? [name] : [given, name] }
  if (!Array.isArray(given)) return body
  return { ...body, snis: given.includes(name) ? given : [...given, name] }
}
