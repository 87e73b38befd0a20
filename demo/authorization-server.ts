import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { createServer, IncomingMessage, type ServerResponse } from 'node:http'
import { parseArgs } from 'node:util'
import { decodeJwt, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose'
import type { Account, Client, Context, Provider, ResourceServerInfo, Token } from 'oidc-provider'
import { close, listen } from './listening.ts'
import { type Adapter, TokenStore } from './token-store.ts'

/** Requests remembered at most; the oldest is dropped first. */
const MAX_RECORDED_REQUESTS = 10_000
/** Failures remembered at most; further ones are not kept. */
const MAX_FAILURES = 100
/** The largest body that is read; oidc-provider itself refuses more than 56 KiB. */
const MAX_BODY_BYTES = 64 * 1024
/** Default lifetimes in seconds. */
const ACCESS_TOKEN_TTL_S = 300
const REFRESH_TOKEN_TTL_S = 1800
const GRANT_TTL_S = 14 * 24 * 3600
/** Signing algorithms, each with a key of its own; the first is the default. */
const ALGORITHMS = ['RS256', 'ES256', 'PS256', 'EdDSA']
/** Endpoints where Keycloak has them, below the issuer. */
const ROUTES = {
  authorization: '/protocol/openid-connect/auth',
  token: '/protocol/openid-connect/token',
  introspection: '/protocol/openid-connect/token/introspect',
  revocation: '/protocol/openid-connect/revoke',
  userinfo: '/protocol/openid-connect/userinfo',
  jwks: '/protocol/openid-connect/certs',
  end_session: '/protocol/openid-connect/logout',
  pushed_authorization_request: '/protocol/openid-connect/ext/par/request',
}
const SCOPES = ['openid', 'offline_access', 'profile', 'email', 'read', 'write', 'orders:read', 'orders:write']
/** Resource indicators under this origin give JWT access tokens; a path such as `/es256` chooses the algorithm. */
const JWT_RESOURCE = 'https://jwt.example'
const OPAQUE_RESOURCE = 'https://opaque.example'
/** Stands for an audience that is not a URI, since a resource indicator has to be one (RFC 8707 section 2). */
const AUDIENCE_URN = 'urn:audience:'
const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

/** A person who can log in with the password grant. `claims` go into tokens, introspection answers and user info. */
export type User = { username: string; password: string; sub: string; claims: Record<string, unknown> }

/** John, the user of Kong's documentation; his subject is not his name, so that the two cannot be mixed up. */
export const john: User = {
  username: 'john',
  password: 'doe',
  sub: 'c0ffee00-1a2b-4c3d-8e4f-5a6b7c8d9e0f',
  claims: {
    preferred_username: 'john',
    name: 'John Doe',
    email: 'john@example.com',
    email_verified: true,
    groups: ['staff'],
    realm_access: { roles: ['reader'] },
  },
}

/**
 * Client metadata as in RFC 7591 section 2, and three members of our own: `access_token_format` (`jwt` or `opaque`, the default),
 * `access_token_ttl` (seconds) and `audience` (default: the client's identifier).
 */
export type ClientMetadata = { client_id: string; [member: string]: unknown }

export type AuthorizationServerOptions = {
  /** Default 0: any free port. */
  port?: number
  /** Address to listen on, default 127.0.0.1. */
  host?: string
  /** Host in the issuer's name, default that of `host`; for clients that reach it through a hosts file. */
  issuerHost?: string
  /** Path of the issuer, default `/auth/realms/master`; empty for none. */
  issuerPath?: string
  /** Beside the built-in ones; a client with the same `client_id` replaces the built-in one. */
  clients?: ClientMetadata[]
  /** Beside John. */
  users?: User[]
  /** Scopes known beside the built-in ones. */
  scopes?: string[]
  /** Seconds, default 300; a client's `access_token_ttl` and a request's `expires_in` win over it. */
  accessTokenTtlS?: number
}

/** A request as it was received. Header names in lower case, as node:http gives them. */
export type RecordedRequest = { method: string; path: string; headers: IncomingMessage['headers']; body: string }

/** A token endpoint's answer (RFC 6749 section 5.1). */
export type TokenResponse = {
  access_token: string
  token_type: string
  expires_in: number
  scope?: string
  refresh_token?: string
  id_token?: string
}

export type IssueOptions = {
  /** Default `kong`. */
  client?: string
  /** Username for the password grant; without one, client credentials. */
  user?: string
  scope?: string
  /** Default: the client's. */
  format?: 'opaque' | 'jwt'
  /** Value of `aud`; not together with `format`. */
  audience?: string
  expiresInS?: number
}

export type AuthorizationServer = AsyncDisposable & {
  /** As in tokens and discovery. */
  readonly issuer: string
  /** Where it listens: `http://127.0.0.1:<port>`. */
  readonly origin: string
  readonly port: number
  /** URLs at `origin`, whatever the issuer is called. */
  readonly endpoints: { discovery: string; token: string; introspection: string; revocation: string; userinfo: string; jwks: string }
  /** Number of requests to the introspection endpoint since the start or `resetRequests()`. */
  readonly introspectionCalls: number
  /** The latest requests, oldest first. */
  readonly requests: readonly RecordedRequest[]
  /** Failures of the server itself (answers with status 500). */
  readonly failures: readonly Error[]
  resetRequests(): void
  /** Connections are refused and open ones cut until `resume()`, which listens on the same port again. */
  pause(): Promise<void>
  resume(): Promise<void>
  stop(): Promise<void>
  /** New signing keys; those of the last generation stay published unless `keepOld` is false. */
  rotateKeys(options?: { keepOld?: boolean }): Promise<void>
  /** Registers or replaces a client. */
  setClient(metadata: ClientMetadata): Promise<void>
  /** Tells where a `private_key_jwt` client publishes its keys, which are fetched whenever it authenticates. */
  setClientJwksUri(clientId: string, jwksUri: string): Promise<void>
  /** Asks the own token endpoint over HTTP. Rejects with the endpoint's answer when that is an error. */
  issueToken(options?: IssueOptions): Promise<TokenResponse>
  /** Revokes an access or refresh token of any client at the revocation endpoint (RFC 7009). */
  revoke(token: string): Promise<void>
}

const SERVICE_GRANTS = ['client_credentials', 'password', 'refresh_token']

/** The clients that are always there. Their secrets are public knowledge: this server is for demonstrations and tests. */
function builtInClients(ownKey: JWK): ClientMetadata[] {
  const client = (client_id: string, rest: Record<string, unknown> = {}): ClientMetadata => ({
    client_id,
    client_secret: `${client_id}-secret`,
    grant_types: SERVICE_GRANTS,
    response_types: [],
    redirect_uris: [],
    ...rest,
  })
  return [
    { ...client('kong', { token_endpoint_auth_method: 'private_key_jwt', jwks: { keys: [ownKey] } }), client_secret: undefined },
    client('kong-jwt', { access_token_format: 'jwt' }),
    client('gateway', { token_endpoint_auth_method: 'client_secret_basic' }),
    client('gateway-post', { token_endpoint_auth_method: 'client_secret_post' }),
    client('gateway-secret-jwt', { token_endpoint_auth_method: 'client_secret_jwt' }),
    client('orders', { scope: 'openid profile email orders:read orders:write' }),
  ]
}

/** oidc-provider, without its warning about the runtime: it does not know Node.js releases without a long-term support name. */
async function importProvider(): Promise<typeof import('oidc-provider')> {
  const { warn } = console
  console.warn = (...values: unknown[]) => {
    if (!String(values[0]).includes('Unsupported runtime')) warn.apply(console, values)
  }
  try {
    return await import('oidc-provider')
  } finally {
    console.warn = warn
  }
}

const oidc = await importProvider()

/** Private JWKs with `kid`, `alg` and `use`, one for each algorithm. */
async function generateSigningKeys(): Promise<JWK[]> {
  return Promise.all(
    ALGORITHMS.map(async (alg) => {
      const { privateKey } = await generateKeyPair(alg, { extractable: true })
      return { ...(await exportJWK(privateKey)), kid: `${alg}-${randomUUID()}`, alg, use: 'sig' }
    }),
  )
}

function nonEmpty(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** Seconds from the request's `expires_in`, a parameter of our own, when it is a sensible number. */
function requestedTtlS(ctx: Context | undefined): number | undefined {
  const seconds = Number(nonEmpty(ctx?.oidc?.body?.['expires_in']))
  return Number.isSafeInteger(seconds) && seconds > 0 && seconds <= GRANT_TTL_S ? seconds : undefined
}

/** The resource that a request without `resource` is for: that of its `audience`, else of a client whose tokens are JWTs. */
function defaultResource(ctx: Context, client: Client): string | undefined {
  const audience = nonEmpty(ctx.oidc.body?.['audience'])
  if (audience !== undefined) return AUDIENCE_URN + encodeURIComponent(audience)
  if (client['access_token_format'] === 'jwt') return AUDIENCE_URN + encodeURIComponent(audienceOf(client))
  return undefined
}

function audienceOf(client: Client): string {
  return nonEmpty(client['audience']) ?? client.clientId
}

function resourceServerInfo(resource: string, client: Client, scopes: string[]): ResourceServerInfo {
  const scope = scopes.join(' ')
  if (resource.startsWith(AUDIENCE_URN)) {
    const accessTokenFormat = client['access_token_format'] === 'jwt' ? 'jwt' : 'opaque'
    return { scope, audience: decodeURIComponent(resource.slice(AUDIENCE_URN.length)), accessTokenFormat, jwt: { sign: { alg: 'RS256' } } }
  }
  const url = new URL(resource)
  const alg = ALGORITHMS.find((name) => `/${name}`.toLowerCase() === url.pathname.toLowerCase()) ?? 'RS256'
  return { scope, audience: resource, accessTokenFormat: url.origin === JWT_RESOURCE ? 'jwt' : 'opaque', jwt: { sign: { alg } } }
}

/** A JWT access token is stored under this name, so that it can be introspected, revoked and used for user info. */
function storedNameOf(jwt: string): string {
  return `jwt-${createHash('sha256').update(jwt).digest('base64url')}`
}

/** An unsecured look at the form of a token: three parts divided by dots. */
function isJwt(token: string): boolean {
  return token.split('.').length === 3
}

type Realm = { issuer: string; users: User[]; scopes: string[]; store: TokenStore; ownKey: JWK; accessTokenTtlS: number }

/** Tokens carry the member `extra` into JWTs and introspection answers alike. */
function extraTokenClaims({ users }: Realm, ctx: Context, token: Token): Record<string, unknown> {
  const common = { jti: randomUUID(), aud: token.aud ?? audienceOf(ctx.oidc.client) }
  const user = users.find(({ sub }) => sub === token.accountId)
  if (user === undefined) return { ...common, sub: token.clientId }
  return { ...common, username: user.username, ...user.claims }
}

function findAccount({ users }: Realm, sub: string): Account | undefined {
  const user = users.find((candidate) => candidate.sub === sub)
  return user && { accountId: sub, claims: () => ({ sub, ...user.claims }) }
}

/**
 * Fetches a client's keys. oidc-provider refuses to connect to loopback addresses, which is right for a public server and would leave
 * a demonstration on one machine without client keys; so its guarded dispatcher is left out. The own key is added for `issueToken`,
 * which works also while the client's keys cannot be had.
 */
async function fetchClientKeys({ ownKey }: Realm, url: string, { signal, headers }: RequestInit): Promise<Response> {
  const body: unknown = await fetch(url, { signal: signal ?? null, headers: headers ?? {}, redirect: 'error' })
    .then((response) => (response.ok ? response.json() : undefined))
    .catch(() => undefined)
  const keys = typeof body === 'object' && body !== null && 'keys' in body && Array.isArray(body.keys) ? body.keys : []
  return Response.json({ keys: [...keys, ownKey] })
}

/**
 * The clients, without the minute for which oidc-provider keeps fetched keys: a gateway that has just started or changed its keys is
 * known at once. The changing member makes each look-up a new client to oidc-provider.
 */
function clientAdapter(store: TokenStore): Adapter {
  const clients = store.adapter('Client')
  let lookUps = 0
  return {
    ...clients,
    async find(id) {
      const metadata = await clients.find(id)
      return metadata !== undefined && 'jwks_uri' in metadata ? { ...metadata, look_up: ++lookUps } : metadata
    },
  }
}

function providerConfiguration(realm: Realm, keys: JWK[]): Record<string, unknown> {
  const { store, scopes } = realm
  const accessTokenTtl = (ctx: Context | undefined, _token: Token, client: Client) =>
    requestedTtlS(ctx) ?? (Number(client['access_token_ttl'] ?? 0) || realm.accessTokenTtlS)
  return {
    adapter: (model: string) => (model === 'Client' ? clientAdapter(store) : store.adapter(model)),
    jwks: { keys },
    cookies: { keys: [randomBytes(32).toString('base64url')] },
    routes: ROUTES,
    scopes,
    claims: { openid: ['sub'], profile: ['name', 'preferred_username', 'groups', 'realm_access'], email: ['email', 'email_verified'] },
    conformIdTokenClaims: false,
    extraClientMetadata: { properties: ['access_token_format', 'access_token_ttl', 'audience', 'look_up'], validator: () => {} },
    extraTokenClaims: async (ctx: Context, token: Token) => extraTokenClaims(realm, ctx, token),
    findAccount: async (_ctx: Context, sub: string) => findAccount(realm, sub),
    fetch: (url: string, options: RequestInit) => fetchClientKeys(realm, url, options),
    clientBasedCORS: () => false,
    issueRefreshToken: async (_ctx: Context, client: Client) => client.grantTypeAllowed('refresh_token'),
    rotateRefreshToken: true,
    ttl: {
      AccessToken: accessTokenTtl,
      ClientCredentials: accessTokenTtl,
      RefreshToken: REFRESH_TOKEN_TTL_S,
      IdToken: ACCESS_TOKEN_TTL_S,
      Grant: GRANT_TTL_S,
      Session: GRANT_TTL_S,
      Interaction: 3600,
    },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true, allowedPolicy: completeForIntrospection },
      jwtIntrospection: { enabled: true },
      revocation: { enabled: true, allowedPolicy: async () => true },
      resourceIndicators: {
        enabled: true,
        defaultResource: async (ctx: Context, client: Client, oneOf?: string[]) => oneOf?.[0] ?? defaultResource(ctx, client),
        useGrantedResource: async () => true,
        getResourceServerInfo: async (_ctx: Context, resource: string, client: Client) => resourceServerInfo(resource, client, scopes),
      },
    },
  }
}

/** Lets every client introspect every token, and gives the answer the `aud` and `jti` that oidc-provider keeps only in JWTs. */
async function completeForIntrospection(_ctx: Context, _client: Client, token: Token): Promise<boolean> {
  const aud = nonEmpty(token.extra?.['aud'])
  if (aud !== undefined) token.aud = aud
  token.jti = nonEmpty(token.extra?.['jti']) ?? token.jti
  return true
}

/** Stores JWT access tokens, which oidc-provider takes for self-contained and forgets. */
async function rememberJwt(store: TokenStore, ctx: Context): Promise<void> {
  const token = ctx.oidc.entities.AccessToken ?? ctx.oidc.entities.ClientCredentials
  const { body } = ctx
  if (ctx.status !== 200 || token?.format !== 'jwt' || typeof body !== 'object' || body === null || !('access_token' in body)) return
  const value = String(body.access_token)
  const { iat, exp, jti, aud, scope } = decodeJwt(value)
  const { kind, clientId, accountId, grantId, gty, jkt, extra } = token
  const name = storedNameOf(value)
  const payload = { iat, exp, jti: name, kind, clientId, accountId, grantId, gty, jkt, scope, extra: { ...extra, jti, aud } }
  await store
    .adapter(kind)
    .upsert(name, Object.fromEntries(Object.entries(payload).filter(([, member]) => member !== undefined)), token.expiration)
}

/** The scope to grant: what was asked for and is known; without a wish, what Keycloak gives by default. */
function grantedScope(realm: Realm, client: Client, requested: string | undefined): string {
  const allowed = new Set(client.scope?.split(' ') ?? realm.scopes)
  const known = (requested ?? 'profile email').split(' ').filter((scope) => realm.scopes.includes(scope))
  const refused = known.find((scope) => !allowed.has(scope))
  if (refused !== undefined) throw new oidc.errors.InvalidScope('requested scope is not allowed', refused)
  return known.join(' ')
}

/** The resource owner password credentials grant (RFC 6749 section 4.3), which oidc-provider leaves to its users. */
async function passwordGrant(provider: Provider, realm: Realm, ctx: Context): Promise<void> {
  const { client, params } = ctx.oidc
  const username = nonEmpty(params['username'])
  const password = nonEmpty(params['password'])
  if (username === undefined || password === undefined) throw new oidc.errors.InvalidRequest('username and password are required')
  const user = realm.users.find((candidate) => candidate.username === username && candidate.password === password)
  if (user === undefined) throw new oidc.errors.InvalidGrant('invalid user credentials')

  const scope = grantedScope(realm, client, nonEmpty(params['scope']))
  const wish = params['resource']
  const resource = nonEmpty(Array.isArray(wish) ? wish[0] : wish) ?? defaultResource(ctx, client)
  const grant = new provider.Grant({ clientId: client.clientId, accountId: user.sub })
  grant.addOIDCScope(scope)
  if (resource !== undefined) grant.addResourceScope(resource, scope)
  const source = { client, accountId: user.sub, grantId: await grant.save(), gty: 'password', scope }

  const accessToken = new provider.AccessToken(source)
  if (resource !== undefined) {
    accessToken.resourceServer = new provider.ResourceServer(resource, resourceServerInfo(resource, client, realm.scopes))
  }
  ctx.oidc.entity('AccessToken', accessToken)
  const authTime = Math.floor(Date.now() / 1000)
  const refreshToken = new provider.RefreshToken({ ...source, authTime, rotations: 0, ...(resource === undefined ? {} : { resource }) })

  ctx.body = {
    access_token: await accessToken.save(),
    token_type: accessToken.tokenType,
    expires_in: accessToken.expiration,
    scope,
    ...(client.grantTypeAllowed('refresh_token') ? { refresh_token: await refreshToken.save() } : {}),
    ...(scope.split(' ').includes('openid') ? { id_token: await idTokenFor(provider, user, scope, authTime, ctx) } : {}),
  }
}

async function idTokenFor(provider: Provider, user: User, scope: string, authTime: number, ctx: Context): Promise<string> {
  const idToken = new provider.IdToken({ sub: user.sub, ...user.claims }, { ctx })
  idToken.scope = scope
  idToken.mask = {}
  idToken.rejected = []
  idToken.set('auth_time', authTime)
  return idToken.issue({ use: 'idtoken' })
}

function createProvider(realm: Realm, keys: JWK[], fail: (error: unknown) => void): Provider {
  const provider = new oidc.Provider(realm.issuer, providerConfiguration(realm, keys))
  const parameters = ['username', 'password', 'scope', 'resource']
  provider.registerGrantType('password', (ctx) => passwordGrant(provider, realm, ctx), parameters, ['resource'])
  provider.use(async (ctx, next) => {
    await next()
    if (ctx.oidc?.route === 'token') await rememberJwt(realm.store, ctx)
  })
  provider.on('server_error', (_ctx, error) => fail(error))
  provider.on('error', fail)
  return provider
}

/** The body, or undefined when it is larger than we read. */
async function readBody(request: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    size += chunk.length
    if (size > MAX_BODY_BYTES) return undefined
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** The request once more, for oidc-provider, which wants to read the body itself and to see the path below the issuer. */
function replay(request: IncomingMessage, issuerPath: string, path: string, body: Buffer): IncomingMessage {
  const copy = Object.assign(new IncomingMessage(request.socket), {
    method: request.method,
    url: path,
    originalUrl: issuerPath + path,
    httpVersion: request.httpVersion,
    headers: { ...request.headers },
    rawHeaders: request.rawHeaders,
    complete: true,
  })
  delete copy.headers['transfer-encoding']
  if (body.length > 0 || 'content-length' in copy.headers) copy.headers['content-length'] = String(body.length)
  copy.push(body)
  copy.push(null)
  return copy
}

/** Puts the name under which a JWT is stored where oidc-provider looks for a token. */
function renameJwts(path: string, headers: IncomingMessage['headers'], body: Buffer): Buffer {
  if (path === ROUTES.userinfo) {
    const [scheme, token] = (headers.authorization ?? '').split(' ')
    if (token !== undefined && isJwt(token)) headers.authorization = `${scheme} ${storedNameOf(token)}`
  }
  if (path !== ROUTES.introspection && path !== ROUTES.revocation) return body
  const form = new URLSearchParams(body.toString())
  const token = form.get('token')
  if (token === null || form.getAll('token').length !== 1 || !isJwt(token)) return body
  form.set('token', storedNameOf(token))
  return Buffer.from(form.toString())
}

/** The path below the issuer, or undefined; the two well-known forms of RFC 8414 section 3.1 are one. */
function pathBelow(issuerPath: string, target: string): string | undefined {
  const wellKnown = `/.well-known/oauth-authorization-server${issuerPath}`
  if (target === wellKnown) return '/.well-known/oauth-authorization-server'
  return target.startsWith(`${issuerPath}/`) ? target.slice(issuerPath.length) : undefined
}

function basicCredentials(clientId: string, secret: string): string {
  return `Basic ${Buffer.from(`${encodeURIComponent(clientId)}:${encodeURIComponent(secret)}`).toString('base64')}`
}

/**
 * Starts an OAuth 2.0 and OpenID Connect server (oidc-provider) that looks like a Keycloak realm: discovery, JWKS, token endpoint with
 * the password, client credentials and refresh grants, introspection, revocation and user info. It is meant for demonstrations and
 * tests: its users and secrets are fixed, and every client may introspect and revoke every token.
 *
 * Clients: `kong` (private_key_jwt; opaque tokens), `kong-jwt` (JWT tokens), `gateway` (client_secret_basic), `gateway-post`,
 * `gateway-secret-jwt`, `orders` (scopes `orders:read`, `orders:write`); the secret of `x` is `x-secret`. A token is a JWT when the
 * request names a resource at `https://jwt.example` (`/es256`, `/ps256` and `/eddsa` choose an algorithm). `audience` and `expires_in`
 * (seconds) are parameters of our own at the token endpoint.
 *
 * @throws when the port is taken or a setting is not valid
 */
export async function startAuthorizationServer(options: AuthorizationServerOptions = {}): Promise<AuthorizationServer> {
  const host = options.host ?? '127.0.0.1'
  const issuerPath = options.issuerPath ?? '/auth/realms/master'
  const requests: RecordedRequest[] = []
  const failures: Error[] = []
  const ownKeys = await generateKeyPair('ES256', { extractable: true })
  const ownKey = { ...(await exportJWK(ownKeys.publicKey)), kid: 'authorization-server', alg: 'ES256', use: 'sig' }
  const store = new TokenStore()
  const clients = store.adapter('Client')
  let keys = await generateSigningKeys()
  let introspectionCalls = 0

  function fail(error: unknown): void {
    if (failures.length < MAX_FAILURES) failures.push(error instanceof Error ? error : new Error(String(error)))
  }

  const server = createServer((request, response) => {
    serve(request, response).catch((error: unknown) => {
      fail(error)
      response.destroy()
    })
  })
  const port = await listen(server, options.port, host)
  const urlHost = (name: string) => (name.includes(':') ? `[${name}]` : name)
  const origin = `http://${urlHost(host)}:${port}`
  const base = origin + issuerPath
  const realm: Realm = {
    issuer: `http://${urlHost(options.issuerHost ?? host)}:${port}${issuerPath}`,
    users: [john, ...(options.users ?? [])],
    scopes: [...SCOPES, ...(options.scopes ?? [])],
    store,
    ownKey,
    accessTokenTtlS: options.accessTokenTtlS ?? ACCESS_TOKEN_TTL_S,
  }
  let handle = createProvider(realm, keys, fail).callback()

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await readBody(request)
    if (body === undefined) return void response.writeHead(413, { connection: 'close' }).end()
    const [target = '', query] = (request.url ?? '').split('?', 2)
    const { method = '', headers } = request
    requests.push({ method, path: request.url ?? '', headers, body: body.toString() })
    if (requests.length > MAX_RECORDED_REQUESTS) requests.shift()
    const path = pathBelow(issuerPath, target)
    if (path === undefined) return void response.writeHead(404, { 'content-type': 'text/plain' }).end('not found')
    if (path === ROUTES.introspection) introspectionCalls++
    const seen = { ...headers }
    const rewritten = renameJwts(path, seen, body)
    const copy = replay(request, issuerPath, query === undefined ? path : `${path}?${query}`, rewritten)
    if (seen.authorization !== undefined) copy.headers.authorization = seen.authorization
    await handle(copy, response)
  }

  async function setClient(metadata: ClientMetadata): Promise<void> {
    const defined = Object.entries(metadata).filter(([, member]) => member !== undefined)
    await clients.upsert(metadata.client_id, Object.fromEntries(defined))
  }

  async function metadataOf(clientId: string): Promise<Record<string, unknown>> {
    const metadata = await clients.find(clientId)
    if (metadata === undefined) throw new TypeError(`no client ${clientId}`)
    return metadata
  }

  async function setClientJwksUri(clientId: string, jwksUri: string): Promise<void> {
    await setClient({ ...(await metadataOf(clientId)), client_id: clientId, jwks: undefined, jwks_uri: jwksUri })
  }

  /** Adds what the client authenticates with: to the form, or as a header. */
  async function authenticate(clientId: string, audience: string, form: URLSearchParams): Promise<Record<string, string>> {
    const metadata = await metadataOf(clientId)
    const secret = String(metadata['client_secret'])
    switch (metadata['token_endpoint_auth_method'] ?? 'client_secret_basic') {
      case 'client_secret_basic':
        return { authorization: basicCredentials(clientId, secret) }
      case 'client_secret_post':
        form.set('client_id', clientId)
        form.set('client_secret', secret)
        return {}
      case 'none':
        form.set('client_id', clientId)
        return {}
      case 'private_key_jwt':
      case 'client_secret_jwt': {
        const symmetric = metadata['token_endpoint_auth_method'] === 'client_secret_jwt'
        const assertion = new SignJWT({ iss: clientId, sub: clientId, aud: audience, jti: randomUUID() })
          .setProtectedHeader(symmetric ? { alg: 'HS256' } : { alg: 'ES256', kid: ownKey.kid })
          .setIssuedAt()
          .setExpirationTime('1 minute')
        form.set('client_assertion_type', ASSERTION_TYPE)
        form.set('client_assertion', await assertion.sign(symmetric ? Buffer.from(secret) : ownKeys.privateKey))
        return {}
      }
      default:
        throw new TypeError(`no tokens for clients that authenticate by ${metadata['token_endpoint_auth_method']}`)
    }
  }

  async function post(url: string, clientId: string, form: URLSearchParams): Promise<string> {
    const headers = await authenticate(clientId, realm.issuer, form)
    const response = await fetch(url, { method: 'POST', headers, body: form })
    const text = await response.text()
    if (!response.ok) throw new Error(`${new URL(url).pathname} answered ${response.status}: ${text}`)
    return text
  }

  async function issueToken(wish: IssueOptions = {}): Promise<TokenResponse> {
    const form = new URLSearchParams({ grant_type: wish.user === undefined ? 'client_credentials' : 'password' })
    if (wish.user !== undefined) {
      form.set('username', wish.user)
      form.set('password', realm.users.find(({ username }) => username === wish.user)?.password ?? '')
    }
    if (wish.scope !== undefined) form.set('scope', wish.scope)
    if (wish.format !== undefined) form.set('resource', wish.format === 'jwt' ? JWT_RESOURCE : OPAQUE_RESOURCE)
    if (wish.audience !== undefined) form.set('audience', wish.audience)
    if (wish.expiresInS !== undefined) form.set('expires_in', String(wish.expiresInS))
    const answer: TokenResponse = JSON.parse(await post(base + ROUTES.token, wish.client ?? 'kong', form))
    return answer
  }

  for (const metadata of [...builtInClients(ownKey), ...(options.clients ?? [])]) await setClient(metadata)

  return {
    issuer: realm.issuer,
    origin,
    port,
    endpoints: {
      discovery: `${base}/.well-known/openid-configuration`,
      token: base + ROUTES.token,
      introspection: base + ROUTES.introspection,
      revocation: base + ROUTES.revocation,
      userinfo: base + ROUTES.userinfo,
      jwks: base + ROUTES.jwks,
    },
    get introspectionCalls() {
      return introspectionCalls
    },
    requests,
    failures,
    resetRequests() {
      requests.length = 0
      introspectionCalls = 0
    },
    pause: () => close(server),
    async resume() {
      await listen(server, port, host)
    },
    stop: () => close(server),
    async rotateKeys({ keepOld = true } = {}) {
      const fresh = await generateSigningKeys()
      keys = keepOld ? [...fresh, ...keys.slice(0, ALGORITHMS.length)] : fresh
      handle = createProvider(realm, keys, fail).callback()
    },
    setClient,
    setClientJwksUri,
    issueToken,
    async revoke(token) {
      await post(base + ROUTES.revocation, 'gateway', new URLSearchParams({ token }))
    },
    [Symbol.asyncDispose]: () => close(server),
  }
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      port: { type: 'string', default: '8090' },
      host: { type: 'string', default: '127.0.0.1' },
      'issuer-host': { type: 'string' },
      'issuer-path': { type: 'string' },
      'kong-jwks-uri': { type: 'string' },
    },
  })
  const server = await startAuthorizationServer({
    port: Number(values.port),
    host: values.host,
    ...(values['issuer-host'] === undefined ? {} : { issuerHost: values['issuer-host'] }),
    ...(values['issuer-path'] === undefined ? {} : { issuerPath: values['issuer-path'] }),
    ...(values['kong-jwks-uri'] === undefined ? {} : { kongJwksUri: values['kong-jwks-uri'] }),
  })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void server.stop())
  process.stdout.write(`Authorization server: ${server.issuer}\n`)
}
