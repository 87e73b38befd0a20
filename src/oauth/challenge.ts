/**
 * WWW-Authenticate challenges (RFC 9110 section 11.6.1) for Bearer (RFC 6750 section 3), DPoP (RFC 9449 section 7.1) and Basic (RFC 7617). Values are
 * cleaned here, so that no text, wherever it comes from, can end the header or a parameter of it.
 */

/** What a Bearer challenge may say; each at most once. */
export interface BearerChallenge {
  readonly realm?: string | undefined
  readonly error?: string | undefined
  readonly error_description?: string | undefined
  readonly error_uri?: string | undefined
  /** scopes that the request needs */
  readonly scope?: readonly string[] | undefined
  /** RFC 9470 section 3 */
  readonly acr_values?: readonly string[] | undefined
  readonly max_age?: number | undefined
  /** address of the protected resource's metadata (RFC 9728 section 5.1) */
  readonly resource_metadata?: string | undefined
}

/** What a DPoP challenge may say. */
export interface DpopChallenge extends BearerChallenge {
  /** signature algorithms that are accepted in a proof */
  readonly algs?: readonly string[] | undefined
}

/**
 * A Bearer challenge, parameters in the order of the interface.
 *
 * @throws {TypeError} there is no parameter: the scheme needs at least one
 */
export function bearerChallenge(challenge: BearerChallenge): string {
  return format('Bearer', bearerParameters(challenge))
}

/**
 * A DPoP challenge: as a Bearer challenge, then `algs`.
 *
 * @throws {TypeError} there is no parameter
 */
export function dpopChallenge(challenge: DpopChallenge): string {
  const algs = tokensOf(challenge.algs)
  return format('DPoP', [...bearerParameters(challenge), ...(algs === undefined ? [] : [['algs', quotedTokens(algs)] as const])])
}

/** A Basic challenge; with `charset` the client knows to send UTF-8 (RFC 7617 section 2.1). */
export function basicChallenge(realm: string, options: { readonly utf8?: boolean } = {}): string {
  return format('Basic', [['realm', quoted(realm)], ...(options.utf8 === true ? [['charset', '"UTF-8"'] as const] : [])])
}

type Parameter = readonly [name: string, quotedValue: string]

function bearerParameters(challenge: BearerChallenge): Parameter[] {
  const parameters: Parameter[] = []
  const add = <T>(name: string, value: T | undefined, quote: (value: T) => string): void => {
    if (value !== undefined) parameters.push([name, quote(value)])
  }
  add('realm', challenge.realm, quoted)
  add('error', challenge.error, quotedPlain)
  add('error_description', challenge.error_description, quotedPlain)
  add('error_uri', challenge.error_uri, quotedUri)
  add('scope', tokensOf(challenge.scope), quotedTokens)
  add('acr_values', tokensOf(challenge.acr_values), quotedTokens)
  add('max_age', challenge.max_age, (seconds) => `"${Math.max(0, Math.floor(seconds))}"`)
  add('resource_metadata', challenge.resource_metadata, quotedUri)
  return parameters
}

function format(scheme: string, parameters: readonly Parameter[]): string {
  if (parameters.length === 0) throw new TypeError(`a ${scheme} challenge needs at least one parameter`)
  return `${scheme} ${parameters.map(([name, value]) => `${name}=${value}`).join(', ')}`
}

/** A quoted string of printable ASCII; anything else becomes a question mark (RFC 9110 section 5.6.4). */
function quoted(text: string): string {
  return `"${text.replace(/[^\x20-\x7e]/gu, '?').replace(/["\\]/g, '\\$&')}"`
}

/** `error` and `error_description` know neither quotes nor backslashes (RFC 6750 section 3), so these are replaced and not escaped. */
function quotedPlain(text: string): string {
  return `"${text.replace(/"/g, "'").replace(/[^\x20-\x5b\x5d-\x7e]/gu, '?')}"`
}

/** The words that scopes may have; a changed word would be another scope, so that one with other characters is left out. Undefined: none is left. */
function tokensOf(words: readonly string[] | undefined): readonly string[] | undefined {
  const tokens = words?.filter((word) => /^[\x21\x23-\x5b\x5d-\x7e]+$/.test(word))
  return tokens?.length === 0 ? undefined : tokens
}

function quotedTokens(tokens: readonly string[]): string {
  return `"${tokens.join(' ')}"`
}

/** An address: what may not stand in it is percent-encoded as UTF-8. */
function quotedUri(uri: string): string {
  return `"${uri.toWellFormed().replace(/[^\x21\x23-\x5b\x5d-\x7e]/gu, encodeURIComponent)}"`
}
