/** Keeps the token from the upstream: it is removed where it was found and in every other searched place that holds the same one. Another token stays. */
import { parseQuery, removeArguments } from '../http/query.ts'
import { removeFromBody } from './body-credentials.ts'
import type { IntrospectedRequest } from './request.ts'
import {
  type BodyLocation,
  type CookieLocation,
  cookieName,
  type ExtractionPlan,
  extractFromHead,
  type FoundToken,
  type QueryLocation,
  searchableFormat,
} from './token-extraction.ts'

/** Removes the token from the searched places. A promise comes back only where a body has to be read; it rejects when the client leaves. */
export function hideToken(request: IntrospectedRequest, plan: ExtractionPlan, found: FoundToken): void | Promise<void> {
  const { token } = found
  for (const location of plan.head) {
    if (location.kind === 'query') hideInQuery(request, location, token)
    else if (location.kind === 'cookie') hideInCookies(request, location, token)
    else {
      const there = location === found.location ? found : extractFromHead(request, location)
      if (there.kind === 'token' && there.token === token)
        request.headers.remove(location.kind === 'header' ? location.name : 'authorization')
    }
  }
  if (plan.body !== null && searchableFormat(request, plan.body) !== null) return hideInBody(request, plan.body, token)
}

function hideInQuery(request: IntrospectedRequest, { name }: QueryLocation, token: string): void {
  if (request.query.length <= 1) return
  const isIt = (argument: { readonly name: string; readonly value: string | null }): boolean =>
    argument.name === name && argument.value === token
  // Only a query that holds it is put together anew.
  if (parseQuery(request.query).some(isIt)) request.query = removeArguments(request.query, isIt)
}

function hideInCookies(request: IntrospectedRequest, { name }: CookieLocation, token: string): void {
  const { headers } = request
  const lines = headers.all('cookie')
  const isIt = (pair: string): boolean => {
    const value = pair.slice(pair.indexOf('=') + 1).trim()
    return cookieName(pair) === name && (value === token || value === `"${token}"`)
  }
  if (!lines.some((line) => line.split(';').some(isIt))) return
  headers.remove('cookie')
  for (const line of lines) {
    const rest = line
      .split(';')
      .filter((pair) => !isIt(pair))
      .join(';')
      .trim()
    if (rest !== '') headers.add('Cookie', rest)
  }
}

async function hideInBody(request: IntrospectedRequest, location: BodyLocation, token: string): Promise<void> {
  const format = searchableFormat(request, location)
  const bytes = await request.readBody(location.limitBytes)
  if (bytes === null || format === null) return
  const rest = removeFromBody(bytes, format, request.headers.get('content-type') ?? '', location.name, token)
  if (rest !== null) request.replaceBody(rest)
}
