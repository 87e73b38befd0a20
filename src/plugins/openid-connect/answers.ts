/** How a request that does not go on is answered: status, body, challenges or redirect (Kong; RFC 6750 section 3). */
import { grpcOutcome, isGrpc } from '../../introspection/grpc.ts'
import { basicChallenge, bearerChallenge } from '../../oauth/challenge.ts'
import type { RequestContext } from '../../plugin/context.ts'
import { ofClient } from './clients.ts'
import type { Config } from './schema.ts'

/** What a caller is told; what the log is told besides is the handler's matter. */
export type Refusal =
  /** `presented`: what the request brought as a credential. */
  | { readonly kind: 'unauthorized'; readonly presented: 'nothing' | 'credential' | 'several'; readonly reason: string }
  | { readonly kind: 'forbidden'; readonly reason: string }
  /** 503: the provider's fault, worth another try; 500: that of our configuration. */
  | { readonly kind: 'unexpected'; readonly status: 500 | 503; readonly retryAfterS: number; readonly reason: string }

type Headers = readonly (readonly [string, string])[]

const UNEXPECTED_MESSAGES = { 500: 'An unexpected error occurred', 503: 'Service unavailable' } as const
const ERRORS = { nothing: undefined, credential: 'invalid_token', several: 'invalid_request' } as const

/** Refusals in the words of one configuration. */
export class Answers {
  readonly #config: Config
  readonly #realm: string
  readonly #basic: Headers

  /** @param acceptsPasswords Basic credentials are looked for: a challenge says so */
  constructor(config: Config, acceptsPasswords: boolean) {
    this.#config = config
    this.#realm = URL.parse(config.issuer)?.host ?? config.issuer
    this.#basic = acceptsPasswords ? [['WWW-Authenticate', basicChallenge(this.#realm)]] : []
  }

  /** Ends the request. @param clientIndex the client that served it */
  refuse(context: RequestContext, refusal: Refusal, clientIndex: number): void {
    const config = this.#config
    switch (refusal.kind) {
      case 'unauthorized':
        return this.#answer(context, refusal, 401, config.unauthorized_error_message, config.unauthorized_redirect_uri, clientIndex)
      case 'forbidden':
        return this.#answer(context, refusal, 403, config.forbidden_error_message, config.forbidden_redirect_uri, clientIndex)
      default:
        return this.#answer(
          context,
          refusal,
          refusal.status,
          UNEXPECTED_MESSAGES[refusal.status],
          config.unexpected_redirect_uri,
          clientIndex,
        )
    }
  }

  #answer(
    context: RequestContext,
    refusal: Refusal,
    status: 401 | 403 | 500 | 503,
    message: string | null,
    redirects: readonly string[] | null,
    clientIndex: number,
  ): void {
    const grpc = isGrpc(context.request)
    const target = grpc ? null : ofClient(redirects, clientIndex)
    if (target !== null) return context.exit(302, null, [['Location', target], NO_STORE])
    const text = this.#config.display_errors === true ? `${message ?? ''} (${refusal.reason})` : (message ?? '')
    const headers = this.#headersFor(refusal)
    if (grpc) exitGrpc(context, status, text, headers)
    else context.exit(status, { message: text }, headers)
  }

  #headersFor(refusal: Refusal): Headers {
    if (refusal.kind === 'unexpected') return refusal.status === 503 ? [['Retry-After', String(refusal.retryAfterS)]] : []
    const realm = this.#realm
    const isExposed = this.#config.expose_error_code !== false
    if (refusal.kind === 'unauthorized') {
      return [['WWW-Authenticate', bearerChallenge({ realm, error: isExposed ? ERRORS[refusal.presented] : undefined })], ...this.#basic]
    }
    const scope = (this.#config.scopes_required ?? [])[0]?.split(/\s+/)
    return [['WWW-Authenticate', bearerChallenge({ realm, ...(isExposed ? { error: 'insufficient_scope', scope } : {}) })], ...this.#basic]
  }
}

const NO_STORE = ['Cache-Control', 'no-store'] as const

/** Answers a gRPC call. @param status that any other request would get */
export function exitGrpc(context: RequestContext, status: number, message: string, headers: Headers = []): void {
  context.exit(200, null, [...headers, ...grpcOutcome(status, message)])
}
