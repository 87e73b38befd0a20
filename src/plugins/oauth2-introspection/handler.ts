import type { Consumer } from '../../entities/consumer-directory.ts'
import { findAnonymous } from '../../entities/consumer-directory.ts'
import type { Decision, Deny, Unavailable } from '../../introspection/decision.ts'
import { createEngine, type Engine } from '../../introspection/engine.ts'
import { grpcOutcome, isGrpc } from '../../introspection/grpc.ts'
import type { HeaderProjection } from '../../introspection/header-projection.ts'
import type { Profile } from '../../introspection/profile.ts'
import type { RequestContext } from '../../plugin/context.ts'
import { definePlugin } from '../../plugin/define.ts'
import type { PluginKit } from '../../plugin/kit.ts'
import { createProfile, credentialHeaderNames, ignoredHeaders } from './profile.ts'
import { type Config, schema } from './schema.ts'

/** What a configuration comes to. */
interface State {
  readonly engine: Engine
  readonly projection: HeaderProjection
  readonly hideCredentials: boolean
  readonly runOnPreflight: boolean
  /** Id or username; null: failures are answered. */
  readonly anonymous: string | null
  readonly server: string
}

/**
 * Asks an authorization server whether the token of a request is active (RFC 7662) and tells the upstream whom it stands for. Wire-compatible with Kong's
 * Enterprise plugin of the same name.
 */
export default definePlugin({
  schema,
  version: '1.0.0',
  priority: 1700,
  authenticates: true,
  identityHeaders: (config: Config) => credentialHeaderNames(config),
  configure,
  access,
  close: ({ engine }) => engine.close(),
})

function configure(config: Config, kit: PluginKit): State {
  const profile: Profile = createProfile(config, kit)
  warn(config, profile, kit)
  return {
    engine: createEngine(profile, kit),
    projection: profile.projection,
    hideCredentials: profile.hideCredentials,
    runOnPreflight: config.run_on_preflight ?? true,
    anonymous: config.anonymous === '' ? null : config.anonymous,
    server: profile.call.server,
  }
}

/** Once for each configuration. */
function warn(config: Config, { name: plugin, call, lifetimes }: Profile, { log, pluginId }: PluginKit): void {
  if (config.ttl === 0) {
    const seconds = lifetimes.withoutExpS
    log.warn('ttl = 0 sets no limit: answers live until the exp of the token, without exp for the seconds shown here', {
      plugin,
      plugin_id: pluginId,
      endpoint: call.server,
      seconds,
    })
  }
  const ignored = ignoredHeaders(config)
  if (ignored.length > 0) {
    log.warn('custom introspection headers that frame the message are not sent', {
      plugin,
      plugin_id: pluginId,
      headers: ignored.join(', '),
    })
  }
}

function access(context: RequestContext, state: State): void | Promise<void> {
  const { request } = context
  if (!state.runOnPreflight && request.method === 'OPTIONS') return
  if (state.anonymous !== null && context.authenticated) {
    // An earlier plugin has said who this is: the first success wins.
    state.projection.clearClaims(request.headers)
    return
  }
  const decision = state.engine.decide(request, context.consumers)
  return decision instanceof Promise ? decision.then((late) => conclude(context, state, late)) : conclude(context, state, decision)
}

function conclude(context: RequestContext, state: State, decision: Decision): void | Promise<void> {
  if (decision.kind === 'allow') {
    const { consumer, credential, authenticatedGroups, token, stale } = decision
    context.authenticate({ consumer, credential, authenticatedGroups }, token)
    if (stale !== null) {
      const { failure, detail } = stale
      context.log.warn('a stored introspection answer stands in for a failed call', {
        plugin: schema.name,
        endpoint: state.server,
        failure,
        detail,
      })
    }
    return
  }
  context.denial = decision.reason
  report(context, state, decision)
  if (state.anonymous !== null && (decision.kind === 'unavailable' || decision.mayBeAnonymous)) {
    return continueAsAnonymous(context, state, state.anonymous)
  }
  if (decision.kind === 'deny') deny(context, decision)
  else refuseForNow(context, decision)
}

/** Every failed authentication has its line; none holds a token. */
function report(context: RequestContext, { server }: State, decision: Deny | Unavailable): void {
  const about = { plugin: schema.name, request_id: context.id, reason: decision.reason }
  if (decision.kind === 'deny') {
    context.log[decision.level]('authentication failed', decision.level === 'error' ? { ...about, endpoint: server } : about)
    return
  }
  const { failure, detail, endpointStatus: status } = decision.failure
  context.log.error('authentication is not possible', { ...about, endpoint: server, failure, detail, status })
}

function continueAsAnonymous(context: RequestContext, state: State, anonymous: string): void | Promise<void> {
  const consumer = findAnonymous(context.consumers, anonymous)
  if (consumer === undefined) {
    const message = `anonymous consumer ${anonymous} is configured but doesn't exist`
    context.log.error(message, { plugin: schema.name, request_id: context.id })
    return isGrpc(context.request) ? exitGrpc(context, 500, message) : context.error(500, message)
  }
  const hiding = state.hideCredentials ? state.engine.hideCredentials(context.request) : undefined
  if (hiding === undefined) return becomeAnonymous(context, state, consumer)
  return hiding.then(() => becomeAnonymous(context, state, consumer))
}

function becomeAnonymous(context: RequestContext, { projection }: State, consumer: Consumer): void {
  projection.writeAnonymous(context.request.headers, consumer)
  context.useAnonymous(consumer)
}

function deny(context: RequestContext, { status, error, description, challenge }: Deny): void {
  const headers: [string, string][] = challenge === null ? [] : [['WWW-Authenticate', challenge]]
  if (isGrpc(context.request)) exitGrpc(context, status, description, headers)
  else context.exit(status, { error, error_description: description }, headers)
}

/** The token may be good, so there is no challenge; a client may try again. */
function refuseForNow(context: RequestContext, { status, retryAfterS }: Unavailable): void {
  const message = status === 500 ? 'An unexpected error occurred' : 'Service unavailable'
  const headers: [string, string][] = status === 500 ? [] : [['Retry-After', String(retryAfterS)]]
  if (isGrpc(context.request)) exitGrpc(context, status, message, headers)
  else context.error(status, message, headers)
}

function exitGrpc(context: RequestContext, status: number, message: string, headers: readonly (readonly [string, string])[] = []): void {
  context.exit(200, null, [...headers, ...grpcOutcome(status, message)])
}
