import type { RealmClient } from './realm-client.ts'

/** The confidential client. Its secret is public knowledge: this server is for tests and for trying things out. */
export const GATEWAY = { id: 'gateway', secret: 'gateway-secret' }
/** The client of Kong's documentation, which authenticates with `private_key_jwt`. */
export const KONG = { id: 'kong' }
/** The user of Kong's documentation. */
export const JOHN = { username: 'john', password: 'doe', group: 'staff', role: 'reader' }
/** A scope that a token has only when it is asked for. */
export const OPTIONAL_SCOPE = 'orders:read'

/** Claims that both clients' tokens carry. Keycloak calls a token inactive when the client that asks is not in its `aud`. */
const MAPPERS = [
  ...[KONG.id, GATEWAY.id].map((client) => ({
    name: `audience ${client}`,
    protocol: 'openid-connect',
    protocolMapper: 'oidc-audience-mapper',
    config: { 'included.client.audience': client, 'access.token.claim': 'true', 'introspection.token.claim': 'true' },
  })),
  {
    name: 'groups',
    protocol: 'openid-connect',
    protocolMapper: 'oidc-group-membership-mapper',
    config: {
      'claim.name': 'groups',
      'full.path': 'false',
      'access.token.claim': 'true',
      'introspection.token.claim': 'true',
      'id.token.claim': 'true',
      'userinfo.token.claim': 'true',
    },
  },
]

const CLIENT = {
  protocol: 'openid-connect',
  publicClient: false,
  directAccessGrantsEnabled: true,
  serviceAccountsEnabled: true,
  standardFlowEnabled: false,
  protocolMappers: MAPPERS,
}

async function addJohn(client: RealmClient): Promise<void> {
  const { username, password, group, role } = JOHN
  await client.create('/groups', { name: group })
  await client.create('/roles', { name: role })
  // Without a name and an address, Keycloak refuses the password grant: the account is not fully set up.
  const user = await client.create('/users', {
    username,
    enabled: true,
    firstName: 'John',
    lastName: 'Doe',
    email: 'john@example.com',
    emailVerified: true,
    groups: [`/${group}`],
    credentials: [{ type: 'password', value: password, temporary: false }],
  })
  const { json } = await client.admin('GET', `/roles/${role}`)
  await client.admin('POST', `/users/${user}/role-mappings/realm`, [json])
}

async function addOptionalScope(client: RealmClient): Promise<void> {
  const attributes = { 'include.in.token.scope': 'true', 'display.on.consent.screen': 'false' }
  const id = await client.create('/client-scopes', { name: OPTIONAL_SCOPE, protocol: 'openid-connect', attributes })
  await client.admin('PUT', `/default-optional-client-scopes/${id}`)
}

/**
 * Fills realm `master` through the Admin REST API: user john in group `staff` with realm role `reader`, the optional client scope
 * `orders:read`, client `kong` (signed assertions, keys from a URL that is told later) and the confidential client `gateway`.
 */
export async function fillRealm(client: RealmClient): Promise<void> {
  await addJohn(client)
  await addOptionalScope(client)
  await client.create('/clients', { ...CLIENT, clientId: KONG.id, clientAuthenticatorType: 'client-jwt' })
  await client.create('/clients', { ...CLIENT, clientId: GATEWAY.id, clientAuthenticatorType: 'client-secret', secret: GATEWAY.secret })
}

/** Tells where client `kong` publishes its keys; keys that were fetched from elsewhere are forgotten. */
export async function setJwksUrl(client: RealmClient, url: string): Promise<void> {
  const { json: clients } = await client.admin('GET', `/clients?clientId=${KONG.id}`)
  const found = clients?.['0']
  const attributes = { ...found?.['attributes'], 'use.jwks.url': 'true', 'jwks.url': url }
  await client.admin('PUT', `/clients/${found?.['id']}`, { ...found, attributes })
  await client.admin('POST', '/clear-keys-cache')
}
