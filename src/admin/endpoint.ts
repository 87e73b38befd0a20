/** What an endpoint of the Admin API is, before any server: a path, its methods, and a function of a request to an answer. */
import type { BodyKind } from '../http/arguments.ts'
import type { AdminAnswer, AdminRequest, AdminRoute } from '../plugin/admin-route.ts'

export type Method = AdminRoute['method']

/** A request whose body and query were read. */
export interface Exchange extends AdminRequest {
  /** Whether values bear their own types (`json`) or are text that a schema has to type (`form`). */
  readonly kind: BodyKind
  /** The raw text of a JSON or YAML body. */
  readonly text: string | null
}

export type Answer = AdminAnswer
export type Handler = (request: Exchange) => Answer | Promise<Answer>

export interface Endpoint {
  /** Parameters as `{name}`; they match one path segment. */
  readonly path: string
  readonly methods: Readonly<Partial<Record<Method, Handler>>>
  /** A YAML body is accepted, unparsed. */
  readonly yaml?: boolean
  /** A successful write is answered only when every worker serves the new configuration. */
  readonly changesConfiguration?: boolean
  /** Left out of `GET /endpoints`: a special case of another path. */
  readonly unlisted?: boolean
}

export const NOT_FOUND: Answer = { status: 404, body: { message: 'Not found' } }
export const METHOD_NOT_ALLOWED: Answer = { status: 405, body: { message: 'Method not allowed' } }
export const NO_CONTENT: Answer = { status: 204 }

/** 200 with a JSON body. */
export function ok(body: unknown): Answer {
  return { status: 200, body }
}

/** An answer with nothing but a text. */
export function message(status: number, text: string): Answer {
  return { status, body: { message: text } }
}

/** A path parameter. The template names it, so it is there. */
export function parameter(request: Pick<Exchange, 'params'>, name: string): string {
  const value = request.params[name]
  if (value === undefined) throw new TypeError(`the path has no parameter ${name}`)
  return value
}
