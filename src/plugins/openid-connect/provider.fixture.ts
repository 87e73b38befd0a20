/** A provider without a network, and the plugin with a configuration and a clock: what the tests of this folder begin with. */

import { type FakeRequest, fakeContext, recordingLog, sharedObjects } from '../../../test/support/fake-context.ts'
import { fakeKit } from '../../../test/support/fake-kit.ts'
import { completeConfig } from '../../../test/support/plugin-config.ts'
import { type ScriptedAnswer, scriptedHttp } from '../../../test/support/scripted-http.ts'
import type { Consumer } from '../../entities/consumer-directory.ts'
import type { HttpRequest } from '../../oauth/http.ts'
import { type JsonObject as JwkObject, textOf } from '../../oauth/json.ts'
import { sign } from '../../oauth/jwa.ts'
import { type GENERATED_ALGORITHMS, generateSigningJwks, importSigningKey, publicJwks } from '../../oauth/jwks.ts'
import type { RequestContext } from '../../plugin/context.ts'
import type { JsonObject } from '../../schema/validate.ts'
import { encodeBase64url } from '../../util/base64url.ts'
import plugin from './handler.ts'
import { type Config, schema } from './schema.ts'

/** Addresses of the provider. */
export const ISSUER = 'https://idp.example/realms/shop'
export const DISCOVERY = `${ISSUER}/.well-known/openid-configuration`
export const JWKS_URI = `${ISSUER}/certs`
export const INTROSPECTION = `${ISSUER}/introspect`
export const TOKEN = `${ISSUER}/token`
export const FORM = 'application/x-www-form-urlencoded'
/** Nobody listens. */
export const DOWN: ScriptedAnswer = { error: Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }) }

/** The Consumers of a test that does not say otherwise. */
export const ALICE: Consumer = { id: 'c-alice', username: 'alice', custom_id: 'x-1', tags: null }
export const GUEST: Consumer = { id: 'c-guest', username: 'guest', custom_id: 'g-1', tags: null }

/** A private JWK with what every generated one has. */
export interface PrivateJwk extends JwkObject {
  readonly kid: string
  readonly alg: string
}

/** A new key for an algorithm. */
export async function generate(alg: (typeof GENERATED_ALGORITHMS)[number]): Promise<PrivateJwk> {
  const [jwk] = await generateSigningJwks([alg])
  const kid = textOf(jwk?.['kid'])
  if (kid === undefined) throw new Error('a generated key has no kid')
  return { ...jwk, kid, alg }
}

/** Keys that tests sign with: made once, RSA takes its time. The provider publishes the first. */
export const RSA = await generate('RS256')
export const OTHER_RSA = await generate('RS256')
export const EC = await generate('ES256')

/** A signed JWT; `header` and `claims` are written as they are given. */
export async function signed(claims: object, { key = RSA, header = {} }: { key?: PrivateJwk; header?: object } = {}): Promise<string> {
  const head = { alg: key.alg, kid: key.kid, typ: 'JWT', ...header }
  const input = `${encodeBase64url(JSON.stringify(head))}.${encodeBase64url(JSON.stringify(claims))}`
  return `${input}.${encodeBase64url(await sign(key.alg, importSigningKey(key).key, Buffer.from(input)))}`
}

/** A complete configuration: defaults, one client with a secret, and what the test says. */
export function configOf(change: JsonObject = {}): Config {
  const config = { issuer: ISSUER, client_id: ['shop'], client_secret: ['shop-secret'], ...change }
  return completeConfig(schema, config)
}

/** What outlives configurations in a process, and the provider that it talks to. */
export type World = ReturnType<typeof createWorld>

/** A provider with discovery, one RSA key, introspection and token endpoint, and a clock that stands still. */
export function createWorld() {
  const clock = { nowMs: 1_700_000_000_000 }
  const http = scriptedHttp()
  const objects = new Map<string, JsonObject>()
  const answers = new Map<string, ScriptedAnswer | ((request: HttpRequest) => ScriptedAnswer)>()
  const metadata = { issuer: ISSUER, jwks_uri: JWKS_URI, introspection_endpoint: INTROSPECTION, token_endpoint: TOKEN }
  answers.set(DISCOVERY, { json: metadata })
  answers.set(JWKS_URI, { json: publicJwks([{ jwk: RSA }]) })
  answers.set(INTROSPECTION, { json: { active: true, sub: 'u1', scope: 'read' } })
  http.answer((request) => {
    const answer = answers.get(request.url.split('?', 1)[0] ?? '') ?? { status: 404 }
    return typeof answer === 'function' ? answer(request) : answer
  })
  return {
    clock,
    http,
    metadata,
    shared: sharedObjects(),
    objects,
    /** What requests to this address are answered with. */
    answer: (url: string, answer: ScriptedAnswer | ((request: HttpRequest) => ScriptedAnswer)) => void answers.set(url, answer),
    requestsTo: (url: string): readonly HttpRequest[] => http.requests.filter((request) => request.url === url),
    /** How often the provider was asked about a request; discovery and keys apart. */
    questions: () => http.requests.filter(({ method }) => method === 'POST').length,
    passS: (seconds: number) => {
      clock.nowMs += seconds * 1000
    },
    /** Epoch seconds. */
    get nowS() {
      return clock.nowMs / 1000
    },
    /** A frame comes in: shared objects are those of the database from now on. */
    frame: (change: (objects: Map<string, JsonObject>) => void = () => undefined) => {
      change(objects)
      for (const [key, value] of objects) objects.set(key, structuredClone(value))
    },
  }
}

/** Several configurations may share a world. */
export type SetUpOptions = { pluginId?: string; world?: World }

/** The plugin with this configuration. */
export function setUp(change: JsonObject = {}, { pluginId = 'p1', world = createWorld() }: SetUpOptions = {}) {
  const logged = recordingLog()
  const kit = fakeKit({
    pluginId,
    log: logged.log,
    now: () => world.clock.nowMs,
    objects: {
      find: (kind, key) => world.objects.get(`${kind}\n${key}`),
      publish: (kind, key, value) => void world.objects.set(`${kind}\n${key}`, value),
    },
    httpClient: () => world.http.client,
    shared: world.shared,
  })
  const config = configOf(change)
  const state = plugin.configure(config, kit)
  let consumers: readonly Consumer[] = [ALICE, GUEST]
  const begin = (request: FakeRequest = {}): { context: RequestContext; done: void | Promise<void> } => {
    const context = fakeContext({ log: logged.log, consumers, ...request })
    return { context, done: plugin.access?.(context, state) }
  }
  return {
    ...world,
    passS: world.passS,
    world,
    logged,
    config,
    kit,
    /** Runs the access phase; the context afterwards. */
    send: async (request: FakeRequest = {}, before?: (context: RequestContext) => void): Promise<RequestContext> => {
      const context = fakeContext({ log: logged.log, consumers, ...request })
      before?.(context)
      await plugin.access?.(context, state)
      return context
    },
    begin,
    /** Runs the header phase on an answer of the upstream. */
    filter: (context: RequestContext) => {
      context.response.status = context.exited ? context.response.status : 200
      plugin.headerFilter?.(context, state)
      return context.response.headers
    },
    useConsumers: (next: readonly Consumer[]) => {
      consumers = next
    },
    close: () => plugin.close?.(state),
  }
}

/** A maker of plugins that have one method, unless the test says otherwise. */
export const setUpFor =
  (method: string) =>
  (change: JsonObject = {}, options: SetUpOptions = {}) =>
    setUp({ auth_methods: [method], ...change }, options)

/** A request with a bearer token. */
export const bearer = (token = 'T', more: FakeRequest = {}): FakeRequest => ({
  ...more,
  headers: [['Authorization', `Bearer ${token}`], ...(more.headers ?? [])],
})

/** A request with Basic credentials. */
export const basic = (pair = 'john:doe', more: FakeRequest = {}): FakeRequest => ({
  ...more,
  headers: [['Authorization', `Basic ${Buffer.from(pair).toString('base64')}`], ...(more.headers ?? [])],
})

/** A request with a body. */
export const post = (type: string, body: string, more: FakeRequest = {}): FakeRequest => ({
  method: 'POST',
  body,
  ...more,
  headers: [['Content-Type', type], ...(more.headers ?? [])],
})

/** The form of a request to the provider. */
export const formOf = (request: HttpRequest | undefined): Record<string, string> => Object.fromEntries(new URLSearchParams(request?.body))

/** The value of a header of a request to the provider. */
export const headerOf = (request: HttpRequest | undefined, name: string): string | undefined =>
  request?.headers.find(([known]) => known.toLowerCase() === name.toLowerCase())?.[1]

/** 0 when the request goes on to the upstream. */
export const statusOf = (context: RequestContext): number => (context.exited ? context.response.status : 0)

/** What is left of the request's body. */
export const bodyOf = async (context: RequestContext): Promise<string | undefined> =>
  (await context.request.readBody(2_000_000))?.toString()
