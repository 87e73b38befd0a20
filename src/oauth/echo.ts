/** Whether a server's own words give back what was sent to it: an error text that echoes a request holds the user's password and the client's secret. */
import type { HttpRequest } from './http.ts'

/** Parameters that may be told to anybody who may read an error text. */
const PUBLIC_PARAMETERS: ReadonlySet<string> = new Set([
  'grant_type',
  'scope',
  'audience',
  'client_id',
  'client_assertion_type',
  'token_type_hint',
])
/** Headers that hold nothing secret. */
const PUBLIC_HEADERS: ReadonlySet<string> = new Set(['accept', 'content-type', 'user-agent'])

/**
 * True where `text` holds a value of the request's headers or form that may be secret: as it is, form-encoded, or in base64 or base64url. A part of a value
 * is not found.
 *
 * @param text whole: a cut could hide what stands in it
 */
export function echoesSecret(text: string, request: HttpRequest): boolean {
  const readings = [text, decoded(text)]
  return secretsOf(request).some((secret) => spellings(secret).some((spelling) => readings.some((reading) => reading.includes(spelling))))
}

function secretsOf({ headers, body = '' }: HttpRequest): readonly string[] {
  const parameters = [...new URLSearchParams(body)].flatMap(([name, value]) => (PUBLIC_PARAMETERS.has(name) ? [] : [value]))
  const fields = headers.flatMap(([name, value]) => (PUBLIC_HEADERS.has(name.toLowerCase()) ? [] : fieldSecrets(value)))
  return [...parameters, ...fields].filter((secret) => secret !== '')
}

/** A header's value, its credentials without the scheme, and the password in them (RFC 7617). */
function fieldSecrets(value: string): readonly string[] {
  const [scheme = '', credentials] = value.split(/ +(.*)/s, 2)
  if (credentials === undefined) return [value]
  if (scheme.toLowerCase() !== 'basic') return [value, credentials]
  const pair = Buffer.from(credentials, 'base64').toString()
  const password = pair.slice(pair.indexOf(':') + 1)
  return [credentials, password, decoded(password)]
}

function spellings(secret: string): readonly string[] {
  const bytes = Buffer.from(secret)
  return [secret, bytes.toString('base64').replace(/=+$/, ''), bytes.toString('base64url')]
}

/** The text as a reader of a form would understand it. */
function decoded(text: string): string {
  return new URLSearchParams(`=${text.replaceAll('&', '%26')}`).get('') ?? ''
}
