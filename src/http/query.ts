/** Query strings as byte strings, with or without their `?`: reading and removing arguments without touching the others. */
import { fromByteString } from '../util/bytes.ts'

export interface QueryArgument {
  readonly name: string
  /** Null for an argument without `=`. */
  readonly value: string | null
}

/** Arguments in order, `+` and `%XX` decoded to text. A malformed escape stays as it is. */
export function parseQuery(query: string): QueryArgument[] {
  const text = query.startsWith('?') ? query.slice(1) : query
  if (text === '') return []
  return text.split('&').map((pair) => {
    const equals = pair.indexOf('=')
    return equals === -1
      ? { name: decodeComponent(pair), value: null }
      : { name: decodeComponent(pair.slice(0, equals)), value: decodeComponent(pair.slice(equals + 1)) }
  })
}

/** Removes the arguments that `matches` selects; all others keep order, spelling and encoding. Answers '' where none is left. */
export function removeArguments(query: string, matches: (argument: QueryArgument) => boolean): string {
  const marked = query.startsWith('?')
  const text = marked ? query.slice(1) : query
  const kept = text.split('&').filter((pair) => !matches(parseQuery(pair)[0] ?? { name: '', value: null }))
  const rest = kept.join('&')
  return rest === '' ? '' : `${marked ? '?' : ''}${rest}`
}

function decodeComponent(text: string): string {
  const spaced = text.includes('+') ? text.replaceAll('+', ' ') : text
  if (!spaced.includes('%')) return fromByteString(spaced)
  return fromByteString(spaced.replace(/%([0-9a-fA-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))))
}

/** Arguments whose values may be credentials (RFC 6749, RFC 6750 section 2.3, and the usual names of API keys). */
const SECRET_ARGUMENTS = new Set([
  'access_token',
  'id_token',
  'refresh_token',
  'token',
  'code',
  'client_secret',
  'client_assertion',
  'password',
  'apikey',
  'api_key',
])

/** A query string without the values of arguments that may be credentials; everything else stays as it was sent. For logs and echoes. */
export function redactQuery(query: string): string {
  if (query === '' || query === '?') return query
  return `?${query.replace(/^\?/, '').split('&').map(redactPair).join('&')}`
}

function redactPair(pair: string): string {
  const equals = pair.indexOf('=')
  if (equals === -1) return pair
  const name = parseQuery(pair)[0]?.name.split('[', 1)[0]?.trim().toLowerCase() ?? ''
  return SECRET_ARGUMENTS.has(name) ? `${pair.slice(0, equals)}=REDACTED` : pair
}

/** A request-target, or a URL, without the values of arguments that may be credentials. */
export function redactTarget(target: string): string {
  const question = target.indexOf('?')
  return question === -1 ? target : `${target.slice(0, question)}${redactQuery(target.slice(question))}`
}
