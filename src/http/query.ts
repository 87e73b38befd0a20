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

/** Arguments whose values may be credentials: RFC 6749, 6750, 7521, 7636, 8628, 8693, OpenID Connect, and the usual names of keys. Letters and digits only. */
const SECRET_ARGUMENTS = new Set(
  `access_token actor_token api_key apikey assertion auth authorization client_assertion client_secret code code_verifier device_code id_token id_token_hint jwt
  key logout_token passwd password refresh_token request response secret session sig signature subject_token token user_code x_api_key`
    .split(/\s+/)
    .map(lettersOf),
)

/** The form in which names of arguments are compared: `clientSecret`, `client-secret` and `client_secret` are one. */
export function comparableName(name: string): string {
  return lettersOf(name)
}

/** Whether an argument of this name, decoded, may be a credential. `more`: further names in their {@link comparableName} form. */
export function isSecretArgument(name: string, more: ReadonlySet<string> = NO_NAMES): boolean {
  let letters = COMPARED.get(name)
  if (letters === undefined) {
    letters = lettersOf((name.split('[', 1)[0] ?? '').replace(/^.*[&;?#/]/s, ''))
    if (COMPARED.size < COMPARED_MAX && name.length <= COMPARED_LENGTH) COMPARED.set(name, letters)
  }
  return SECRET_ARGUMENTS.has(letters) || more.has(letters)
}

/** Names that were seen, so that usual ones are worked out once. Bounded: clients choose names. */
const COMPARED = new Map<string, string>()
const COMPARED_MAX = 1024
const COMPARED_LENGTH = 64

const NO_NAMES: ReadonlySet<string> = new Set()

/** A query string without the values of arguments that may be credentials; everything else stays as it was sent. For logs and echoes. */
export function redactQuery(query: string): string {
  if (query === '' || query === '?') return query
  return `?${redactPairs(query.replace(/^\?/, ''), NO_NAMES)}`
}

/**
 * A request-target, or a URL, without the values of arguments that may be credentials, wherever they stand, and without user information. `more`: further names
 * in their {@link comparableName} form.
 */
export function redactTarget(target: string, more: ReadonlySet<string> = NO_NAMES): string {
  if (!target.includes('=') && !target.includes('@')) return target
  return redactPairs(target.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/?#]*@/i, '$1REDACTED@'), more)
}

function redactPairs(text: string, more: ReadonlySet<string>): string {
  return text
    .split('&')
    .map((pair) => redactPair(pair, more))
    .join('&')
}

/** From the first name on that is secret: whatever some reader takes for a separator may begin one, and nothing but `&` surely ends its value. */
function redactPair(pair: string, more: ReadonlySet<string>): string {
  for (let equals = pair.indexOf('='); equals !== -1; equals = pair.indexOf('=', equals + 1)) {
    let start = equals
    while (start > 0 && !NAME_BOUNDARIES.includes(pair.charAt(start - 1))) start--
    if (start > 0 && pair.charAt(start - 1) === '=') continue
    if (isSecretArgument(decodeComponent(pair.slice(start, equals)), more)) return `${pair.slice(0, equals + 1)}REDACTED`
  }
  return pair
}

const NAME_BOUNDARIES = ';?#='

function lettersOf(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]/g, '')
}
