import { lookup as lookUp } from 'node:dns'
import { Agent } from 'undici'

/** A JSON value, read without knowing its shape. A member of a value that is no object is undefined, as it is at run time. */
export interface Json {
  readonly [member: string]: Json | null | undefined
}

export type RealmAnswer = { status: number; location: string | undefined; text: string; json: Json | null | undefined }

/** Keycloak refused a request; the message has method, path, status and its answer. */
export class KeycloakRequestError extends Error {
  override readonly name = 'KeycloakRequestError'
  readonly status: number
  constructor(message: string, status: number) {
    super(message)
    this.status = status
  }
}

function parse(text: string): Json | null | undefined {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/**
 * Speaks to realm `master` of a Keycloak on the loopback address under the host name that its issuer bears, which need not be known to
 * the machine: Keycloak takes the issuer of a token from the request's `Host`.
 */
export class RealmClient {
  readonly issuer: string
  readonly #password: string
  readonly #agent: Agent

  constructor(hostName: string, port: number, password: string) {
    this.issuer = `http://${hostName}:${port}/auth/realms/master`
    this.#password = password
    this.#agent = new Agent({ connect: { lookup: (_name, options, done) => lookUp('127.0.0.1', options, done) } })
  }

  async request(method: string, url: string, body?: string, headers: Record<string, string> = {}): Promise<RealmAnswer> {
    const { origin, pathname, search } = new URL(url)
    const response = await this.#agent.request({ origin, path: pathname + search, method, headers, body: body ?? null })
    const text = await response.body.text()
    const location = response.headers['location']
    return { status: response.statusCode, location: Array.isArray(location) ? location[0] : location, text, json: parse(text) }
  }

  /** A form sent to one of the realm's OpenID Connect endpoints. @throws {KeycloakRequestError} any answer but 200 and 204 */
  async form(endpoint: string, fields: Record<string, string>): Promise<Json> {
    const url = `${this.issuer}/protocol/openid-connect/${endpoint}`
    const body = new URLSearchParams(fields).toString()
    const { status, text, json } = await this.request('POST', url, body, { 'content-type': 'application/x-www-form-urlencoded' })
    if (status !== 200 && status !== 204) throw new KeycloakRequestError(`POST ${endpoint}: ${status} ${text}`, status)
    return json ?? {}
  }

  /** A request to the realm's Admin REST API. @throws {KeycloakRequestError} any answer but 2xx */
  async admin(method: string, path: string, body?: unknown): Promise<RealmAnswer> {
    // Its token lives for 60 s: a new one for each request is simpler than knowing when.
    const grant = { grant_type: 'password', client_id: 'admin-cli', username: 'admin', password: this.#password }
    const { access_token: token } = await this.form('token', grant)
    const url = this.issuer.replace('/auth/realms/', '/auth/admin/realms/') + path
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    const answer = await this.request(method, url, body === undefined ? undefined : JSON.stringify(body), headers)
    if (answer.status >= 300) throw new KeycloakRequestError(`${method} ${path}: ${answer.status} ${answer.text}`, answer.status)
    return answer
  }

  /** Creates an entity and gives its id. */
  async create(path: string, representation: unknown): Promise<string> {
    const { location } = await this.admin('POST', path, representation)
    return location?.split('/').at(-1) ?? ''
  }

  async close(): Promise<void> {
    await this.#agent.destroy()
  }
}
