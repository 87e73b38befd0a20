/** The main job, step by step: what is sent, what comes back, and whether that is right. */
import type { AuthorizationServer } from './authorization-server.ts'
import type { DemoGateway } from './gateway.ts'
import { TTL_S } from './provision.ts'

export interface Stage {
  readonly gateway: DemoGateway
  readonly server: AuthorizationServer
  readonly say: (line: string) => void
}

const colour = process.stdout.isTTY && !process.env['NO_COLOR']
const green = (text: string): string => (colour ? `\x1b[32m${text}\x1b[0m` : text)
const red = (text: string): string => (colour ? `\x1b[31m${text}\x1b[0m` : text)
const dim = (text: string): string => (colour ? `\x1b[2m${text}\x1b[0m` : text)

/** Runs the tour; answers whether every step came out as it should. @param stage.started `performance.now()` of the demo's begin */
export async function runTour(stage: Stage & { readonly started: number }): Promise<boolean> {
  const tour = new Tour(stage)
  await tour.step('no token', async () => {
    const { status, headers } = await tour.get('/orders')
    tour.show(headers, ['www-authenticate'])
    return status === 401 && headers.get('www-authenticate')?.startsWith('Bearer') === true
  })

  const { access_token: token } = await stage.server.issueToken({ client: 'orders', user: 'john', scope: 'openid orders:read' })
  await tour.step('a good opaque token (the upstream learns who it is)', async () => {
    const { status, json } = await tour.get('/orders', token)
    stage.say(dim(`      first proxied 200 after ${((performance.now() - stage.started) / 1000).toFixed(1)} s`))
    tour.showUpstream(json, /^X-(Consumer|Credential)-/)
    return status === 200 && upstreamHeaders(json)['X-Consumer-Username'] === 'john'
  })

  await tour.step('the same token again (from the cache, no call to the authorization server)', async () => {
    const before = stage.server.introspectionCalls
    const { status } = await tour.get('/orders', token)
    stage.say(`      introspection calls: ${stage.server.introspectionCalls - before}`)
    return status === 200 && stage.server.introspectionCalls === before
  })

  await tour.step(`the token is revoked (an answer is reused for at most ${TTL_S} s)`, async () => {
    await stage.server.revoke(token)
    return await tour.becomes(401, '/orders', token, TTL_S + 1)
  })

  const narrow = await stage.server.issueToken({ client: 'orders', user: 'john', scope: 'openid' })
  await tour.step('a token without the scope that the route asks for (orders:read)', async () => {
    const { status, headers } = await tour.get('/reports', narrow.access_token)
    tour.show(headers, ['www-authenticate'])
    return status === 403 && headers.get('www-authenticate')?.includes('insufficient_scope') === true
  })

  const wide = await stage.server.issueToken({ client: 'orders', user: 'john', scope: 'openid orders:read', format: 'jwt' })
  await tour.step(
    'a JWT with that scope (verified here, with the keys that the server publishes)',
    async () => (await tour.get('/reports', wide.access_token)).status === 200,
  )

  const fresh = await stage.server.issueToken({ client: 'orders', user: 'john', scope: 'openid' })
  await tour.step('the authorization server is down: nobody can tell, so 503, and the token is not called bad', async () => {
    await stage.server.pause()
    const { status, headers } = await tour.get('/orders', fresh.access_token)
    tour.show(headers, ['retry-after', 'www-authenticate'])
    return status === 503 && !headers.has('www-authenticate')
  })

  await tour.step('it is back', async () => {
    await stage.server.resume()
    return await tour.becomes(200, '/orders', fresh.access_token, 2)
  })
  stage.say(
    tour.failed === 0
      ? green(`\nAll ${tour.steps} steps answered as they should.\n`)
      : red(`\n${tour.failed} of ${tour.steps} steps went wrong.\n`),
  )
  return tour.failed === 0
}

class Tour {
  readonly #stage: Stage
  steps = 0
  failed = 0

  constructor(stage: Stage) {
    this.#stage = stage
  }

  async step(title: string, run: () => Promise<boolean>): Promise<void> {
    this.#stage.say(`${++this.steps}. ${title}`)
    const right = await run().catch((error: unknown) => {
      this.#stage.say(`      ${error}`)
      return false
    })
    if (!right) this.failed++
    this.#stage.say(right ? green('      as it should be') : red('      NOT as it should be'))
  }

  async get(path: string, token?: string, { quiet = false } = {}): Promise<{ status: number; headers: Headers; json: unknown }> {
    const headers: Record<string, string> = token === undefined ? {} : { Authorization: `Bearer ${token}` }
    const response = await fetch(`${this.#stage.gateway.proxy}${path}`, { headers })
    const text = await response.text()
    const shown = token === undefined ? '' : `  Authorization: Bearer ${token.slice(0, 8)}…`
    if (!quiet) this.#stage.say(`      GET ${path}${shown}\n      ${response.status} ${response.statusText}`)
    return { status: response.status, headers: response.headers, json: parse(text) }
  }

  /** Asks again and again until the answer has that status; whether it came within so many seconds. */
  async becomes(wanted: number, path: string, token: string, withinS: number): Promise<boolean> {
    const began = performance.now()
    for (;;) {
      const { status, headers } = await this.get(path, token, { quiet: true })
      const seconds = (performance.now() - began) / 1000
      if (status === wanted) {
        this.#stage.say(`      ${status} after ${seconds.toFixed(2)} s`)
        this.show(headers, ['www-authenticate'])
        return seconds <= withinS
      }
      // How much too late it comes is worth telling.
      if (seconds > withinS + 4) return false
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }

  show(headers: Headers, names: readonly string[]): void {
    for (const name of names) if (headers.has(name)) this.#stage.say(`      ${name}: ${headers.get(name)}`)
  }

  showUpstream(json: unknown, names: RegExp): void {
    for (const [name, value] of Object.entries(upstreamHeaders(json))) if (names.test(name)) this.#stage.say(`      → ${name}: ${value}`)
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

function upstreamHeaders(json: unknown): Record<string, string> {
  return (json as { headers?: Record<string, string> } | null)?.headers ?? {}
}

/** What to paste while everything stays up. */
export function printCommands({ gateway, server, say }: Stage): void {
  const token = `curl -s ${server.endpoints.token} -u orders:orders-secret -d grant_type=password -d username=john -d password=doe -d scope='openid orders:read'`
  const groups: Readonly<Record<string, readonly string[]>> = {
    'A token for john, good for five minutes:': [`TOKEN=$(${token} | sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/')`],
    'oauth2-introspection: refused without the token, served with it:': [
      `curl -i ${gateway.proxy}/orders`,
      `curl -i ${gateway.proxy}/orders -H "Authorization: Bearer $TOKEN"`,
    ],
    'openid-connect: the same token, or a password that the gateway turns into a token:': [
      `curl -i ${gateway.proxy}/reports -H "Authorization: Bearer $TOKEN"`,
      `curl -i ${gateway.proxy}/reports -u john:doe`,
    ],
    [`Revoked: refused by both after ${TTL_S} s at the latest:`]: [
      `curl -s ${server.endpoints.revocation} -u orders:orders-secret -d token=$TOKEN`,
    ],
    'What the gateway knows:': [`curl -s ${gateway.admin}/plugins`, `curl -s ${gateway.admin}/openid-connect/issuers`],
  }
  say('Everything stays up until Ctrl-C. Commands to paste into another terminal:')
  for (const [title, commands] of Object.entries(groups)) {
    say(`\n${title}`)
    for (const command of commands) say(`  ${command}`)
  }
  say('')
}
