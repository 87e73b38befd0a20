import type { AuthorizationServer } from './authorization-server.ts'

/** Seconds for which the demo's gateway reuses an introspection answer: the longest that a revoked token works. */
export const TTL_S = 2

/** Configures the gateway as an operator would: through the Admin API, one request after the other, each shown. */
export async function provision(admin: string, server: AuthorizationServer, upstream: string, say: (line: string) => void): Promise<void> {
  const call = async (method: string, path: string, body: unknown): Promise<void> => {
    const response = await fetch(`${admin}${path}`, { method, headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) })
    if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${await response.text()}`)
    await response.arrayBuffer()
    say(`  ${response.status}  ${method} ${path}`)
  }
  const gatewaySecret = `Basic ${Buffer.from('gateway:gateway-secret').toString('base64')}`
  say('Provisioning through the Admin API:')
  await server.setClientJwksUri('kong', `${admin}/openid-connect/jwks`)
  await call('PUT', '/services/orders', { url: `${upstream}/anything` })
  await call('PUT', '/services/orders/routes/orders', { paths: ['/orders'] })
  await call('POST', '/services/orders/plugins', {
    name: 'oauth2-introspection',
    config: {
      introspection_url: server.endpoints.introspection,
      authorization_value: gatewaySecret,
      ttl: TTL_S,
      custom_claims_forward: ['email'],
    },
  })
  await call('PUT', '/consumers/john', { custom_id: 'customer-1' })
  await call('PUT', '/services/reports', { url: `${upstream}/anything` })
  await call('PUT', '/services/reports/routes/reports', { paths: ['/reports'] })
  await call('POST', '/services/reports/plugins', {
    name: 'openid-connect',
    config: {
      issuer: server.issuer,
      client_id: ['kong'],
      client_auth: ['private_key_jwt'],
      auth_methods: ['bearer', 'introspection', 'password'],
      scopes: ['openid', 'orders:read'],
      scopes_required: ['orders:read'],
      consumer_claims: [['preferred_username'], ['sub']],
      consumer_optional: true,
      cache_ttl_max: TTL_S,
    },
  })
  say('')
}
