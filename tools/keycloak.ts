/**
 * A real Keycloak for tests and for trying the gateway out, with client `kong`, a confidential client and user john.
 *
 *   node tools/keycloak.ts                    prints what to paste and stays until Ctrl-C
 *   node tools/keycloak.ts --port 8080 --host-name keycloak.test --jwks-url http://127.0.0.1:8001/openid-connect/jwks
 *   node tools/keycloak.ts --prepare          fetches it, starts it once, so that later starts are quick, and ends
 */
import { randomBytes } from 'node:crypto'
import { parseArgs } from 'node:util'
import { createHome, fetchKeycloak, KEYCLOAK_VERSION, keepGeneratedCode, MissingProgramError } from './keycloak/distribution.ts'
import { fillRealm, GATEWAY, JOHN, KONG, OPTIONAL_SCOPE, setJwksUrl } from './keycloak/realm.ts'
import { type Json, type RealmAnswer, RealmClient } from './keycloak/realm-client.ts'
import { ServerProcess } from './keycloak/server-process.ts'

export type KeycloakOptions = {
  /** Default 0: any free port. */
  port?: number
  /** Host in the issuer's name, default `keycloak.test`, for clients that reach it through a hosts file. */
  hostName?: string
  /** Where client `kong` publishes its keys, when known at start. */
  jwksUrl?: string
  /** Told in one line each what takes long; default: not told. */
  report?: (line: string) => void
}

/** Answer of the token endpoint (RFC 6749 section 5.1). Keycloak's access tokens live for 60 s. */
export type KeycloakTokens = { access_token: string; refresh_token: string }

export type Keycloak = AsyncDisposable & {
  /** `http://<hostName>:<port>/auth/realms/master`, as in tokens and discovery when asked under that name. */
  readonly issuer: string
  /** Where it listens: `http://127.0.0.1:<port>`. */
  readonly origin: string
  readonly port: number
  /** A confidential client that authenticates with its secret. */
  readonly gateway: { readonly id: string; readonly secret: string }
  readonly user: { readonly username: string; readonly password: string; readonly group: string; readonly role: string }
  /** Of user `admin` in the admin console at `<origin>/auth/admin/`, new at each start. */
  readonly adminPassword: string
  /** The last part of what the server printed. */
  readonly output: string
  /** A request to the Admin REST API of realm `master`; rejects with the answer when that is an error. */
  admin(method: string, path: string, body?: unknown): Promise<RealmAnswer>
  /** Tells where client `kong` publishes its keys. */
  setJwksUrl(url: string): Promise<void>
  /** John's tokens from the password grant, for the confidential client. */
  issueTokens(options?: { scope?: string }): Promise<KeycloakTokens>
  /** The introspection endpoint's answer to the confidential client (RFC 7662). */
  introspect(token: string): Promise<Json>
  /** Revokes a token of the confidential client (RFC 7009). */
  revoke(token: string): Promise<void>
  /** Ends the session to which a refresh token belongs. */
  logout(refreshToken: string): Promise<void>
  /** Ends the server: connections are refused until `resume()`, which starts it again on the same port and data. */
  pause(): Promise<void>
  resume(): Promise<void>
  /** Ends the server and removes its data. */
  stop(): Promise<void>
}

/** @throws when the server, though it listens, does not answer its discovery document */
async function assertReady(client: RealmClient): Promise<void> {
  const { status, json } = await client.request('GET', `${client.issuer}/.well-known/openid-configuration`)
  if (status === 200 && String(json?.['issuer']) === client.issuer) return
  throw new Error(`Keycloak answered its discovery document with ${status}, issuer ${json?.['issuer']}, not ${client.issuer}`)
}

/**
 * Starts Keycloak on the loopback address with fresh data and fills realm `master`. The first call on a machine fetches 177 MB.
 *
 * @throws {MissingProgramError} Java or what fetches Keycloak is not installed
 * @throws when it does not start; with what it printed
 */
export async function startKeycloak(options: KeycloakOptions = {}): Promise<Keycloak> {
  const { port = 0, hostName = 'keycloak.test', jwksUrl, report = () => {} } = options
  const home = await createHome(await fetchKeycloak(report))
  const adminPassword = randomBytes(18).toString('base64url')
  const server = new ServerProcess(home, adminPassword, port)
  let client: RealmClient | undefined
  try {
    report(`Starting Keycloak ${KEYCLOAK_VERSION}`)
    await server.start()
    await keepGeneratedCode(home)
    client = new RealmClient(hostName, server.port, adminPassword)
    await assertReady(client)
    await fillRealm(client)
    if (jwksUrl !== undefined) await setJwksUrl(client, jwksUrl)
  } catch (error) {
    await client?.close()
    await server.remove()
    throw error
  }
  return describe(server, client, adminPassword)
}

function describe(server: ServerProcess, client: RealmClient, adminPassword: string): Keycloak {
  const ownClient = { client_id: GATEWAY.id, client_secret: GATEWAY.secret }
  let stopping: Promise<void> | undefined

  async function stop(): Promise<void> {
    await client.close()
    await server.remove()
  }

  return {
    issuer: client.issuer,
    origin: `http://127.0.0.1:${server.port}`,
    port: server.port,
    gateway: GATEWAY,
    user: JOHN,
    adminPassword,
    get output() {
      return server.output
    },
    admin: (method, path, body) => client.admin(method, path, body),
    setJwksUrl: (url) => setJwksUrl(client, url),
    async issueTokens({ scope = 'openid' } = {}) {
      const { username, password } = JOHN
      const answer = await client.form('token', { ...ownClient, grant_type: 'password', username, password, scope })
      return { access_token: String(answer['access_token']), refresh_token: String(answer['refresh_token']) }
    },
    introspect: (token) => client.form('token/introspect', { ...ownClient, token }),
    async revoke(token) {
      await client.form('revoke', { ...ownClient, token })
    },
    async logout(refreshToken) {
      await client.form('logout', { ...ownClient, refresh_token: refreshToken })
    },
    pause: () => server.end(),
    async resume() {
      await server.start()
      await assertReady(client)
    },
    stop: () => (stopping ??= stop()),
    [Symbol.asyncDispose]: () => (stopping ??= stop()),
  }
}

function instructions({ issuer, origin, adminPassword }: Keycloak, jwksUrl: string): string {
  const plugin = '5f35b796-ced6-4c00-9b2a-90eef745f4f9'
  return `
Issuer         ${issuer}
Admin console  ${origin}/auth/admin/   admin / ${adminPassword}
User           ${JOHN.username} / ${JOHN.password}   group ${JOHN.group}, realm role ${JOHN.role}
Clients        ${KONG.id} (private_key_jwt, keys from ${jwksUrl})
               ${GATEWAY.id} / ${GATEWAY.secret}
Scope          ${OPTIONAL_SCOPE} (optional)

With the gateway on its usual ports and an upstream on port 9080 (node demo/echo-upstream.ts):

  http -f put :8001/services/openid-connect url=http://localhost:9080/anything
  http -f put :8001/services/openid-connect/routes/openid-connect paths=/
  http -f put :8001/plugins/${plugin} name=openid-connect service.name=openid-connect \\
    config.issuer=${issuer} config.client_id=${KONG.id} config.client_auth=private_key_jwt
  http -f patch :8001/plugins/${plugin} config.bearer_token_param_type=header \\
    config.auth_methods=introspection config.auth_methods=password
  http -v :8000 Authorization:"$(http -a ${JOHN.username}:${JOHN.password} :8000 | jq -r .headers.Authorization)"

Ctrl-C ends it.
`
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      port: { type: 'string', default: '0' },
      'host-name': { type: 'string', default: 'localhost' },
      'jwks-url': { type: 'string', default: 'http://127.0.0.1:8001/openid-connect/jwks' },
      prepare: { type: 'boolean', default: false },
    },
  })
  const jwksUrl = values['jwks-url']
  const report = (line: string) => process.stdout.write(`${line}\n`)
  const asked = new Promise<undefined>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => resolve(undefined))
  })
  const starting = startKeycloak({ port: Number(values.port), hostName: values['host-name'], jwksUrl, report })
  const keycloak = await Promise.race([starting, asked])
  // Asked to end before it was there: what has been started ends with this process.
  if (keycloak === undefined) process.exit(130)
  if (!values.prepare) {
    report(instructions(keycloak, jwksUrl))
    await asked
  }
  await keycloak.stop()
}

if (import.meta.main) {
  await main().catch((error: unknown) => {
    process.stderr.write(`${error instanceof MissingProgramError || !(error instanceof Error) ? error : (error.stack ?? error.message)}\n`)
    process.exitCode = 1
  })
}
