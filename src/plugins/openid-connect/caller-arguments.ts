/** Arguments of the caller's request by name: what chooses a client, and what is copied into requests to the provider. */
import { dashedName } from '../../http/field-marks.ts'
import type { HeaderList } from '../../http/headers.ts'
import { parseQuery } from '../../http/query.ts'
import { isGrpc } from '../../introspection/grpc.ts'
import type { IntrospectedRequest } from '../../introspection/request.ts'
import { type BodyLocation, searchableFormat } from '../../introspection/token-extraction.ts'
import type { Pairs } from '../../oauth/form.ts'
import { parseJsonObject } from '../../oauth/json.ts'
import { fromByteString } from '../../util/bytes.ts'
import { andThen, type Soon } from './soon.ts'

/** Bodies that are looked into (Kong: forms and JSON objects). */
const BODY: Omit<BodyLocation, 'name'> = {
  kind: 'body',
  methods: new Set(['POST', 'PUT', 'PATCH', 'DELETE']),
  formats: new Set(['form', 'json']),
  limitBytes: 1_048_576,
}

/** Where a caller may put an argument. */
export type ArgumentPlace = 'query' | 'body' | 'header'

/** Where a body argument of this name is looked for. */
export function bodyLocation(name: string): BodyLocation {
  return { ...BODY, name }
}

/** Values of a query argument, in order; an argument without `=` has none. */
export function queryValues(request: IntrospectedRequest, name: string): readonly string[] {
  if (request.query.length <= 1 || isGrpc(request)) return NONE
  return valuesOf(request.query, name)
}

/** Values of a body argument: all of a form, the text of a JSON member. Rejects when the client leaves. */
function bodyValues(request: IntrospectedRequest, name: string): Soon<readonly string[]> {
  const format = searchableFormat(request, bodyLocation(name))
  if (format === null) return NONE
  return request.readBody(BODY.limitBytes).then((bytes) => {
    if (bytes === null) return NONE
    if (format === 'form') return valuesOf(bytes.toString('latin1'), name)
    const value = parseJsonObject(bytes)?.[name]
    return typeof value === 'string' ? [value] : NONE
  })
}

/** Values of a header as text; `_` in the name stands for `-`. */
export function headerValues(headers: HeaderList, name: string): readonly string[] {
  return headers.all(dashedName(name.toLowerCase())).map(fromByteString)
}

/**
 * What is copied from the caller as form parameters: of each name the first place that has it, repeated values repeated.
 *
 * @param places where to look, in this order
 */
export function copiedParameters(request: IntrospectedRequest, names: readonly string[], places: readonly ArgumentPlace[]): Soon<Pairs> {
  let pairs: Soon<Pairs> = []
  for (const name of names) {
    pairs = andThen(pairs, (before) =>
      andThen(firstValues(request, name, places), (values) => [...before, ...values.map((value): [string, string] => [name, value])]),
    )
  }
  return pairs
}

/** Headers that are never copied: they belong to one hop, or say what our own message is. */
const NOT_COPIED = /^(?:connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|host|content-.*|accept|accept-encoding|expect)$/

/** The caller's headers of these names, for a request to the provider. */
export function copiedHeaders(headers: HeaderList, names: readonly string[]): Pairs {
  return names.flatMap((name): [string, string][] => {
    const lower = name.toLowerCase()
    return NOT_COPIED.test(lower) ? [] : headers.all(lower).map((value) => [name, value])
  })
}

/** The values of the first place that has any. */
export function firstValues(request: IntrospectedRequest, name: string, places: readonly ArgumentPlace[]): Soon<readonly string[]> {
  let values: Soon<readonly string[]> = NONE
  for (const place of places) {
    values = andThen(values, (found) => (found.length > 0 ? found : valuesIn(request, name, place)))
  }
  return values
}

function valuesIn(request: IntrospectedRequest, name: string, place: ArgumentPlace): Soon<readonly string[]> {
  if (place === 'query') return queryValues(request, name)
  return place === 'body' ? bodyValues(request, name) : headerValues(request.headers, name)
}

function valuesOf(text: string, name: string): readonly string[] {
  return parseQuery(text).flatMap((argument) => (argument.name === name && argument.value !== null ? [argument.value] : []))
}

const NONE: readonly string[] = []
