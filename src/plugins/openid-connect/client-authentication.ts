/** How the gateway shows the provider which client it is: the method is chosen once for each client and endpoint, as long as what it depends on stays. */
import {
  type ClientAuthentication,
  chooseAuthMethod,
  clientSecretBasic,
  clientSecretJwt,
  clientSecretPost,
  privateKeyJwt,
  publicClient,
} from '../../oauth/client-auth.ts'
import { ClientAuthenticationError } from '../../oauth/errors.ts'
import { type FormRequest, toHttpRequest, withHeaders } from '../../oauth/form.ts'
import type { HttpRequest } from '../../oauth/http.ts'
import { importSigningKey, type SigningKey } from '../../oauth/jwks.ts'
import { authMethodsOf, type ServerMetadata } from '../../oauth/metadata.ts'
import type { PluginObjects } from '../../plugin/kit.ts'
import type { JsonObject } from '../../schema/validate.ts'
import type { Client } from './clients.ts'
import { CURRENT, JWKS, keysOf } from './own-keys.ts'
import { pairwise } from './provider-calls.ts'
import type { Config } from './schema.ts'
import { andThen, type Soon } from './soon.ts'

/** Endpoints at which the gateway authenticates. */
export type AuthenticatedEndpoint = 'token' | 'introspection'

interface Chosen {
  readonly metadata: ServerMetadata | null
  readonly generated: JsonObject | undefined
  readonly authenticate: ClientAuthentication
}

/** Client authentication of one configuration; keys that the gateway made are looked up each time, so that rotation takes effect at once. */
export class ClientAuthenticator {
  readonly #config: Config
  readonly #objects: PluginObjects
  readonly #nowS: () => number
  readonly #chosen = new Map<string, Chosen>()

  constructor(config: Config, objects: PluginObjects, now: () => number) {
    this.#config = config
    this.#objects = objects
    this.#nowS = () => now() / 1000
  }

  /** Closes a request of this client: authentication, then the operator's own headers, which have the last word. */
  complete(form: FormRequest, client: Client, endpoint: AuthenticatedEndpoint, metadata: ServerMetadata | null): Soon<HttpRequest> {
    const config = this.#config
    const added = pairwise(config[`${endpoint}_headers_names`], config[`${endpoint}_headers_values`])
    // Some providers want a bearer token or a key of theirs in Authorization.
    return andThen(this.for(client, endpoint, metadata)(form), (request) =>
      toHttpRequest({ ...request, headers: withHeaders(request.headers, added) }),
    )
  }

  /**
   * What completes a request of this client. Without an identifier nothing is added: static headers may be all that the provider asks for.
   *
   * @throws {ClientAuthenticationError | JwkError} the named method cannot be carried out; it never gives way to another
   */
  for(client: Client, endpoint: AuthenticatedEndpoint, metadata: ServerMetadata | null): ClientAuthentication {
    if (client.id === null) return (request) => request
    const generated = this.#objects.find(JWKS, CURRENT)
    const key = `${endpoint} ${client.index}`
    const known = this.#chosen.get(key)
    if (known !== undefined && known.metadata === metadata && known.generated === generated) return known.authenticate
    const authenticate = this.#choose(client, client.id, endpoint, metadata, generated)
    this.#chosen.set(key, { metadata, generated, authenticate })
    return authenticate
  }

  #choose(
    client: Client,
    id: string,
    endpoint: AuthenticatedEndpoint,
    metadata: ServerMetadata | null,
    generated: JsonObject | undefined,
  ): ClientAuthentication {
    const secret = client.secret ?? undefined
    const hmacAlg = client.alg?.startsWith('HS') === true ? client.alg : undefined
    const method = chooseAuthMethod({
      endpointMethod: this.#config[`${endpoint}_endpoint_auth_method`],
      clientMethod: client.auth,
      supported: metadata === null ? undefined : authMethodsOf(metadata, endpoint),
      capabilities: {
        client_secret: secret,
        secretAlg: hmacAlg,
        hasPrivateKey: client.jwk !== null && client.jwk['d'] !== undefined,
        hasGeneratedKey: generated !== undefined,
        hasCertificate: false,
      },
    })
    const options = { audience: metadata?.issuer, nowS: this.#nowS }
    switch (method) {
      case 'client_secret_basic':
        return clientSecretBasic(id, secret ?? '')
      case 'client_secret_post':
        return clientSecretPost(id, secret ?? '')
      case 'client_secret_jwt':
        return clientSecretJwt(id, secret ?? '', { ...options, alg: hmacAlg })
      case 'private_key_jwt':
        return privateKeyJwt(id, signingKey(client, generated), options)
      case 'none':
        return publicClient(id)
      default:
        throw new ClientAuthenticationError(`${method} is not available yet`)
    }
  }
}

/** The client's own key, else the generated one for its algorithm. */
function signingKey({ jwk, alg }: Client, generated: JsonObject | undefined): SigningKey {
  const asymmetric = alg?.startsWith('HS') === true ? null : alg
  if (jwk !== null && jwk['d'] !== undefined) return importSigningKey(jwk, asymmetric ?? undefined)
  const wanted = asymmetric ?? DEFAULT_ALGORITHM
  const found = keysOf(generated ?? {}).find((key) => key['alg'] === wanted)
  if (found === undefined) throw new ClientAuthenticationError(`there is no generated key for ${wanted}`)
  return importSigningKey(found, wanted)
}

const DEFAULT_ALGORITHM = 'RS256'
