/** What the load asks for, and what each of it has to come to. */

import type { Request } from './connections.ts'
import { contentOf, eventsOf, MAX_CONTENT_BYTES } from './content.ts'
import { CONSUMERS, expectedSeen, tokenOf } from './tokens.ts'
import type { Expectation } from './verdict.ts'

/** How a request travels: on a connection that is kept, or on one of its own. */
export type Manner = 'kept' | 'slow' | 'web-socket' | 'leaving'

export interface Asked {
  readonly manner: Manner
  readonly request: Request
  /** The token whose answer a worker remembers from now on; null where none is. */
  readonly remembered: string | null
  /** Whether the authorization server may have to be asked. */
  readonly asksServer: boolean
  /** @param fromMs when it was sent, @param untilMs when it was answered, in epoch milliseconds */
  expect(fromMs: number, untilMs: number): Omit<Expectation, 'known'>
}

type Kind = (number: string, random: () => number) => Asked

/** A route with a long memory, one whose memory ends soon, and one that anybody may use. */
export const ROUTES = { long: '/guarded', short: '/fleeting', open: '/open' } as const

/** Milliseconds around the end of a token in which it may be let in or not. */
const END_MARGIN_MS = 1000
/** Seconds that a token lives which ends while it is used, at most. */
const ENDING_LIFE_S = 4

/** What clients claim to be and are not. */
const FORGED: Readonly<Record<string, string>> = {
  'X-Consumer-Username': 'consumer-of-nobody',
  'X-Consumer-ID': '11111111-1111-4111-8111-111111111111',
  'X-Credential-Identifier': 'nobody',
  x_credential_sub: 'sub-of-nobody',
  'X-Credential-Sub': 'sub-of-nobody',
}

const BEARER = (token: string): Record<string, string> => ({ Authorization: `Bearer ${token}` })

interface Part {
  readonly manner?: Manner
  readonly method?: 'GET' | 'POST'
  readonly route?: string
  readonly does?: 'bytes' | 'pieces' | 'events' | 'echo'
  /** Bytes of the answer, or number of events. */
  readonly size?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly query?: string
  readonly sent?: Buffer
  readonly chunked?: boolean
  readonly decision?: 'allow' | 'deny'
  readonly subject?: string | null
  readonly remembered?: string
  readonly asksServer?: boolean
}

function ask(number: string, part: Part): Asked {
  const { manner = 'kept', route = ROUTES.long, does = 'bytes', size = 200, headers = {}, query = '', sent = null, subject = null } = part
  const { decision = 'allow', remembered = null, asksServer = true, method = sent === null ? 'GET' : 'POST', chunked = false } = part
  const body = sent ?? (does === 'events' ? Buffer.from(eventsOf(number, size).join('')) : contentOf(number, size))
  const type = sent === null ? {} : { 'Content-Type': 'application/octet-stream' }
  const expectation = { decision, seen: expectedSeen(number, subject), body }
  const request = {
    method,
    path: `${route}/${does}?size=${size}${query}`,
    headers: { 'X-Soak-Number': number, ...type, ...headers },
    body: sent,
    chunked,
  }
  return { manner, request, remembered, asksServer, expect: () => expectation }
}

function anyOf<T>(all: readonly T[], random: () => number): T {
  return all[Math.floor(random() * all.length)] as T
}

/** A request with one of the tokens that are used again and again. */
function withKnown(number: string, random: () => number, part: Part = {}): Asked {
  const subject = anyOf(CONSUMERS, random)
  const token = tokenOf('active', subject)
  const headers = part.query === undefined ? { ...BEARER(token), ...part.headers } : { ...part.headers }
  const query = part.query === undefined ? {} : { query: `&access_token=${token}` }
  const remembered = part.route === undefined ? { remembered: token } : {}
  return ask(number, { subject, ...remembered, ...part, headers, ...query })
}

const sizeUpTo = (limit: number, random: () => number): number => Math.floor(limit * random() ** 3) + 1

/** The load, by name, and how often each comes. */
const KINDS: Readonly<Record<string, readonly [weight: number, kind: Kind]>> = {
  'known token': [34, (number, random) => withKnown(number, random)],
  'known token in the query': [3, (number, random) => withKnown(number, random, { query: '' })],
  'forged identity': [5, (number, random) => withKnown(number, random, { headers: FORGED })],
  'known token, short memory': [6, (number, random) => withKnown(number, random, { route: ROUTES.short })],
  'new token': [
    8,
    (number, random) => {
      const subject = `user-${number}`
      const route = random() < 0.5 ? ROUTES.long : ROUTES.short
      return ask(number, { subject, route, headers: BEARER(tokenOf('active', subject)) })
    },
  ],
  'inactive token': [4, (number) => ask(number, { decision: 'deny', headers: BEARER(tokenOf('inactive', `user-${number}`)) })],
  'inactive token again': [
    3,
    (number, random) => ask(number, { decision: 'deny', headers: BEARER(tokenOf('inactive', anyOf(CONSUMERS, random))) }),
  ],
  'token that ends': [4, endingToken],
  'no token': [4, (number) => ask(number, { decision: 'deny', asksServer: false })],
  'open route': [3, (number) => ask(number, { route: ROUTES.open, asksServer: false })],
  'large answer': [4, (number, random) => withKnown(number, random, { size: sizeUpTo(MAX_CONTENT_BYTES / 4, random) })],
  'answer in pieces': [4, (number, random) => withKnown(number, random, { does: 'pieces', size: sizeUpTo(65_536, random) })],
  'streamed events': [1, (number, random) => withKnown(number, random, { does: 'events', size: 5 })],
  'body with a length': [
    5,
    (number, random) => withKnown(number, random, { does: 'echo', sent: contentOf(number, sizeUpTo(262_144, random)) }),
  ],
  'body in chunks': [
    5,
    (number, random) => withKnown(number, random, { does: 'echo', sent: contentOf(number, sizeUpTo(262_144, random)), chunked: true }),
  ],
  'body with an inactive token': [
    1,
    (number) =>
      ask(number, {
        decision: 'deny',
        does: 'echo',
        sent: contentOf(number, 50_000),
        headers: BEARER(tokenOf('inactive', `user-${number}`)),
      }),
  ],
  WebSocket: [
    1,
    (number, random) => {
      const asked = withKnown(number, random, { manner: 'web-socket' })
      return { ...asked, expect: () => ({ ...asked.expect(0, 0), body: contentOf(number, 2000) }) }
    },
  ],
  'slow client': [1, (number, random) => withKnown(number, random, { manner: 'slow', size: 300_000 })],
  'client that leaves': [2, (number, random) => withKnown(number, random, { manner: 'leaving', does: 'pieces', size: 200_000 })],
  'client that leaves its body': [
    1,
    (number, random) => withKnown(number, random, { manner: 'leaving', does: 'echo', sent: contentOf(number, 100_000) }),
  ],
}

function endingToken(number: string, random: () => number): Asked {
  // Several requests share such a token, before its end and after.
  const nowS = Math.floor(Date.now() / 1000)
  const expS = nowS + Math.floor(random() * (2 * ENDING_LIFE_S + 1)) - ENDING_LIFE_S
  const subject = `ending-${expS}`
  const asked = ask(number, { subject, headers: BEARER(tokenOf('ending', subject, expS)) })
  return {
    ...asked,
    expect(fromMs, untilMs) {
      const early = untilMs < expS * 1000 - END_MARGIN_MS
      const late = fromMs > expS * 1000 + END_MARGIN_MS
      return { ...asked.expect(fromMs, untilMs), decision: early ? 'allow' : late ? 'deny' : 'either' }
    },
  }
}

const ENTRIES = Object.entries(KINDS)
const TOTAL = ENTRIES.reduce((sum, [, [weight]]) => sum + weight, 0)

/** Names of all kinds. */
export const KIND_NAMES: readonly string[] = ENTRIES.map(([name]) => name)

/** One of them by weight. */
export function drawKind(random: () => number): string {
  let left = random() * TOTAL
  const drawn = ENTRIES.find(([, [weight]]) => {
    left -= weight
    return left < 0
  })
  return drawn?.[0] ?? 'known token'
}

/** @throws {TypeError} there is no such kind */
export function askFor(name: string, number: string, random: () => number): Asked {
  const kind = KINDS[name]
  if (kind === undefined) throw new TypeError(`no kind ${name}`)
  return kind[1](number, random)
}

/** The gateway's configuration. @param extra adds a route that nobody but the reloads uses */
export function configuration(upstreamPort: number, introspectionUrl: string, extra: boolean): object {
  const plugin = (ttl: number) => ({
    name: 'oauth2-introspection',
    // Idle connections go soon, so that the end of the run shows which were forgotten.
    config: { introspection_url: introspectionUrl, authorization_value: 'Basic c29hazpzb2Fr', ttl, keepalive: 5000 },
  })
  const service = (name: keyof typeof ROUTES, plugins: readonly object[]) => ({
    name,
    url: `http://127.0.0.1:${upstreamPort}`,
    routes: [{ name, paths: [ROUTES[name]] }],
    plugins,
  })
  const added = {
    name: 'extra',
    url: `http://127.0.0.1:${upstreamPort}`,
    routes: [{ name: 'extra', paths: [EXTRA_PATH] }],
    plugins: [{ name: 'request-termination', config: { status_code: 200, message: 'here' } }],
  }
  return {
    _format_version: '3.0',
    services: [service('long', [plugin(86_400)]), service('short', [plugin(15)]), service('open', []), ...(extra ? [added] : [])],
    consumers: CONSUMERS.map((username) => ({ username })),
  }
}

/** Where the route is that comes and goes. */
export const EXTRA_PATH = '/extra'
