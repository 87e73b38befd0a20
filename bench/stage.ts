/** One gateway with one worker, an upstream and an introspection endpoint that answers at once: what the questions of the bench are asked on. */
import { type Gateway, startGateway } from '../test/support/gateway.ts'
import { type StubIntrospection, startStubIntrospection } from '../test/support/stub-introspection.ts'
import { processTree } from './measure.ts'
import { type Nginx, startNginxUpstream } from './nginx.ts'

export interface Stage {
  readonly gateway: Gateway
  readonly upstream: Nginx
  readonly stub: StubIntrospection
  /** Processes that serve requests. */
  readonly workers: readonly number[]
  stop(): Promise<void>
}

/** `/plain` only proxies; `/orders` introspects, maps a consumer and writes claim headers. @param env further settings */
export async function startStage(env: Record<string, string> = {}): Promise<Stage> {
  const upstream = await startNginxUpstream()
  const exp = Math.floor(Date.now() / 1000) + 3600
  const stub = await startStubIntrospection(() => ({
    status: 200,
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({
      active: true,
      username: 'john',
      client_id: 'app',
      scope: 'read write',
      sub: 'u1',
      exp,
      email: 'john@example.com',
    }),
  }))
  const url = `http://127.0.0.1:${upstream.port}/`
  const gateway = await startGateway({
    database: 'off',
    logLevel: 'notice',
    env: { SALLYPORT_PROXY_ACCESS_LOG: 'off', ...env },
    declarative: {
      _format_version: '3.0',
      services: [
        { name: 'plain', url, routes: [{ name: 'plain', paths: ['/plain'] }] },
        {
          name: 'orders',
          url,
          routes: [{ name: 'orders', paths: ['/orders'] }],
          plugins: [
            {
              name: 'oauth2-introspection',
              config: { introspection_url: stub.url, authorization_value: 'Basic Zzpz', ttl: 600, custom_claims_forward: ['email'] },
            },
          ],
        },
      ],
      consumers: [{ username: 'john', custom_id: 'c1' }],
    },
  })
  const [, ...workers] = processTree(gateway.pid)
  return {
    gateway,
    upstream,
    stub,
    workers,
    async stop() {
      await gateway.stop()
      await Promise.all([upstream.stop(), stub.stop()])
    },
  }
}
