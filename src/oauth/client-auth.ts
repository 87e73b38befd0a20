/**
 * Client authentication (RFC 6749 section 2.3, RFC 7523 section 2.2, OpenID Connect Core section 9, RFC 8705 section 2): each method is a function that
 * completes a form request. Exactly one method is used for a request, and none ever gives way to a weaker one.
 */
import { randomBytes } from 'node:crypto'
import { encodeBase64url } from '../util/base64url.ts'
import { ClientAuthenticationError } from './errors.ts'
import { encodeFormComponent, type FormRequest, replacePairs } from './form.ts'
import { hmac, leastSecretOctets, sign } from './jwa.ts'
import type { SigningKey } from './jwks.ts'

/** Completes a request; what it adds replaces headers and parameters of the same name. */
export type ClientAuthentication = (request: FormRequest) => FormRequest | Promise<FormRequest>

/** The methods that are known here, by their registered names. */
export type ClientAuthMethod =
  | 'client_secret_basic'
  | 'client_secret_post'
  | 'client_secret_jwt'
  | 'private_key_jwt'
  | 'tls_client_auth'
  | 'self_signed_tls_client_auth'
  | 'none'

const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'
/** Seconds that an assertion lives: it is made for one request. */
const ASSERTION_LIFETIME_S = 60
/** Bytes of randomness in `jti`. */
const JTI_OCTETS = 16

/**
 * Identifier and secret in an Authorization header. They are used as they are configured, which is what Kong does and many servers expect; with
 * `formEncoded` each is form-encoded first, as RFC 6749 section 2.3.1 has it.
 */
export function clientSecretBasic(clientId: string, clientSecret: string, options: { readonly formEncoded?: boolean } = {}) {
  const part = options.formEncoded === true ? encodeFormComponent : (text: string) => text
  const value = `Basic ${Buffer.from(`${part(clientId)}:${part(clientSecret)}`, 'utf8').toString('base64')}`
  return (request: FormRequest): FormRequest => ({
    ...request,
    headers: replacePairs(request.headers, [['Authorization', value]], 'any-case'),
  })
}

/** Identifier and secret as form parameters. */
export function clientSecretPost(clientId: string, clientSecret: string) {
  return (request: FormRequest): FormRequest =>
    withForm(request, [
      ['client_id', clientId],
      ['client_secret', clientSecret],
    ])
}

/** A public client: only its identifier, as a form parameter. */
export function publicClient(clientId: string) {
  return (request: FormRequest): FormRequest => withForm(request, [['client_id', clientId]])
}

/** What an assertion is made with. */
export interface AssertionOptions {
  /** the issuer identifier of the server; absent or null: the URL of the endpoint. Always one value, since some servers refuse several */
  readonly audience?: string | null | undefined
  /** the clock, in seconds since the epoch */
  readonly nowS: () => number
}

/**
 * An assertion signed with the client secret (HMAC).
 *
 * @param alg HS256 unless another HS algorithm is configured
 * @throws {ClientAuthenticationError} `alg` is no HS algorithm, or the secret is shorter than its hash (RFC 7518 section 3.2)
 */
export function clientSecretJwt(clientId: string, clientSecret: string, options: AssertionOptions & { readonly alg?: string | undefined }) {
  const { alg = 'HS256' } = options
  const least = leastSecretOctets(alg)
  if (least === undefined) throw new ClientAuthenticationError('client_secret_jwt needs one of HS256, HS384 and HS512')
  if (Buffer.byteLength(clientSecret) < least) {
    throw new ClientAuthenticationError(`client_secret_jwt with ${alg} needs a client secret of at least ${least} bytes`)
  }
  return (request: FormRequest): FormRequest => {
    const input = assertionInput({ alg, typ: 'JWT' }, clientId, request.url, options)
    return withAssertion(request, input, hmac(alg, clientSecret, Buffer.from(input, 'latin1')))
  }
}

/** An assertion signed with the client's private key. Signing happens off the main thread. */
export function privateKeyJwt(clientId: string, key: SigningKey, options: AssertionOptions) {
  const header = { alg: key.alg, ...(key.kid === undefined ? {} : { kid: key.kid }), typ: 'JWT' }
  return async (request: FormRequest): Promise<FormRequest> => {
    const input = assertionInput(header, clientId, request.url, options)
    return withAssertion(request, input, await sign(key.alg, key.key, Buffer.from(input, 'latin1')))
  }
}

/** What the operator has configured for a client, as far as it decides which methods can be carried out. */
export interface ClientCapabilities {
  readonly client_secret?: string | undefined
  /** HS algorithm for client_secret_jwt, if one is configured */
  readonly secretAlg?: string | undefined
  /** a private key of the client itself is configured */
  readonly hasPrivateKey: boolean
  /** keys generated for this installation exist: they count only for a method that the operator names, never for one found in metadata */
  readonly hasGeneratedKey: boolean
  readonly hasCertificate: boolean
}

/** Where a method may be named, strongest first. */
export interface MethodChoice {
  /** named for this endpoint */
  readonly endpointMethod?: string | null | undefined
  /** named for this client */
  readonly clientMethod?: string | null | undefined
  /** what the server's metadata lists for this endpoint */
  readonly supported?: readonly string[] | undefined
  readonly capabilities: ClientCapabilities
}

/**
 * Chooses the authentication method: the endpoint's own, else the client's, else the first of the server's list that the configuration can carry out
 * (never `none`), else client_secret_basic with a secret, else `none`.
 *
 * @throws {ClientAuthenticationError} the method that is named is unknown or cannot be carried out: it never gives way to another one
 */
export function chooseAuthMethod(choice: MethodChoice): ClientAuthMethod {
  const named = choice.endpointMethod ?? choice.clientMethod
  if (named != null) {
    if (!isMethod(named)) throw new ClientAuthenticationError('the client authentication method is unknown')
    const { capabilities } = choice
    const withGenerated = { ...capabilities, hasPrivateKey: capabilities.hasPrivateKey || capabilities.hasGeneratedKey }
    if (!canCarryOut(named, withGenerated)) throw new ClientAuthenticationError(`${named} needs ${NEEDS[named]}, which is not configured`)
    return named
  }
  const listed = choice.supported?.find((method) => method !== 'none' && isMethod(method) && canCarryOut(method, choice.capabilities))
  if (listed !== undefined && isMethod(listed)) return listed
  return hasSecret(choice.capabilities) ? 'client_secret_basic' : 'none'
}

/**
 * Chooses the method for credentials that a caller presented as its own (client credentials grant): as chooseAuthMethod, but only among the methods
 * that use a secret; where another one is named, or none fits, client_secret_basic.
 */
export function chooseSecretMethod(
  choice: Omit<MethodChoice, 'capabilities'> & { readonly client_secret: string; readonly secretAlg?: string | undefined },
): 'client_secret_basic' | 'client_secret_post' | 'client_secret_jwt' {
  const named = choice.endpointMethod ?? choice.clientMethod
  const methods = named != null ? [named] : (choice.supported ?? [])
  const found = methods.find((method) => isSecretMethod(method) && canCarryOut(method, { ...NOTHING, ...choice }))
  return found !== undefined && isSecretMethod(found) ? found : 'client_secret_basic'
}

const NOTHING = { hasPrivateKey: false, hasGeneratedKey: false, hasCertificate: false }

const NEEDS: Readonly<Record<ClientAuthMethod, string>> = {
  client_secret_basic: 'a client secret',
  client_secret_post: 'a client secret',
  client_secret_jwt: 'a client secret as long as the hash',
  private_key_jwt: 'a private key',
  tls_client_auth: 'a client certificate',
  self_signed_tls_client_auth: 'a client certificate',
  none: 'nothing',
}

function isMethod(name: string): name is ClientAuthMethod {
  return Object.hasOwn(NEEDS, name)
}

function isSecretMethod(name: string): name is 'client_secret_basic' | 'client_secret_post' | 'client_secret_jwt' {
  return name === 'client_secret_basic' || name === 'client_secret_post' || name === 'client_secret_jwt'
}

function canCarryOut(method: ClientAuthMethod, capabilities: ClientCapabilities): boolean {
  switch (method) {
    case 'client_secret_basic':
    case 'client_secret_post':
      return hasSecret(capabilities)
    case 'client_secret_jwt':
      return (
        Buffer.byteLength(capabilities.client_secret ?? '') >=
        (leastSecretOctets(capabilities.secretAlg ?? 'HS256') ?? Number.POSITIVE_INFINITY)
      )
    case 'private_key_jwt':
      return capabilities.hasPrivateKey
    case 'tls_client_auth':
    case 'self_signed_tls_client_auth':
      return capabilities.hasCertificate
    case 'none':
      return true
  }
}

function hasSecret(capabilities: ClientCapabilities): boolean {
  return capabilities.client_secret !== undefined && capabilities.client_secret !== ''
}

function withForm(request: FormRequest, entries: readonly (readonly [string, string])[]): FormRequest {
  return { ...request, form: replacePairs(request.form, entries) }
}

/** The signing input of a new assertion (RFC 7523 section 3): every request has its own `jti`. */
function assertionInput(header: Readonly<Record<string, string>>, clientId: string, endpoint: string, options: AssertionOptions): string {
  const iat = Math.floor(options.nowS())
  const claims = {
    iss: clientId,
    sub: clientId,
    aud: options.audience ?? endpoint,
    jti: randomBytes(JTI_OCTETS).toString('base64url'),
    iat,
    exp: iat + ASSERTION_LIFETIME_S,
  }
  return `${encodeBase64url(JSON.stringify(header))}.${encodeBase64url(JSON.stringify(claims))}`
}

function withAssertion(request: FormRequest, input: string, signature: Uint8Array): FormRequest {
  return withForm(request, [
    ['client_assertion_type', ASSERTION_TYPE],
    ['client_assertion', `${input}.${encodeBase64url(signature)}`],
  ])
}
