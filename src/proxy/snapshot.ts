/**
 * Entities → an immutable {router, plans, consumers}. A snapshot is built aside and swapped in whole: a request keeps the one it began with. What a plugin
 * made of a configuration (caches, connections) outlives the snapshot as long as that configuration stays the same.
 */

import type { Consumer, ConsumerDirectory } from '../entities/consumer-directory.ts'
import { createConsumerDirectory } from '../entities/consumer-directory.ts'
import type { Origin, UpstreamTls } from '../http/exchange.ts'
import { dashedName, IDENTITY, marksOf } from '../http/field-marks.ts'
import type { CredentialNameSets } from '../plugin/credential-names.ts'
import { gatherCredentialNames } from '../plugin/credential-names.ts'
import type { AnyPlugin } from '../plugin/define.ts'
import type { PluginKit } from '../plugin/kit.ts'
import type { Plan, PluginInstance } from '../plugin/plan.ts'
import { comparePriority, createPlan } from '../plugin/plan.ts'
import type { RoutableRequest, RouteEntity, RouteMatch, Router } from '../router/router.ts'
import { createTraditionalRouter } from '../router/traditional.ts'
import { resolveReferences } from '../schema/project.ts'
import { hostHeaderOf, originOf } from './forward.ts'
import type { UpstreamTlsDefaults } from './upstream-tls.ts'
import { UpstreamTlsSource } from './upstream-tls.ts'

/** A Service as the data path reads it; other members are kept for logs. */
export interface ServiceEntity extends Readonly<Record<string, unknown>> {
  readonly id: string
  readonly name: string | null
  readonly protocol: string
  readonly host: string
  readonly port: number
  readonly path: string | null
  readonly retries: number
  readonly connect_timeout: number
  readonly write_timeout: number
  readonly read_timeout: number
  readonly tls_verify: boolean | null
  readonly tls_verify_depth: number | null
  readonly ca_certificates: readonly string[] | null
  readonly client_certificate: { readonly id: string } | null
  readonly enabled: boolean
}

/** A Route as the data path reads it. */
export interface StoredRoute extends RouteEntity {
  readonly request_buffering: boolean
  readonly response_buffering: boolean
}

export interface PluginEntity extends Readonly<Record<string, unknown>> {
  readonly id: string
  readonly name: string
  readonly route: { readonly id: string } | null
  readonly service: { readonly id: string } | null
  readonly consumer: { readonly id: string } | null
  readonly enabled: boolean
  readonly config: Readonly<Record<string, unknown>>
}

/** A Certificate as the data path reads it. The texts are PEM once the worker has resolved references; '' where one could not be. */
export interface CertificateEntity extends Readonly<Record<string, unknown>> {
  readonly id: string
  readonly cert: string
  readonly key: string
  readonly cert_alt: string | null
  readonly key_alt: string | null
}

/** A server name and the Certificate that is shown for it. */
export interface SniEntity extends Readonly<Record<string, unknown>> {
  readonly id: string
  readonly name: string
  readonly certificate: { readonly id: string }
}

export interface CaCertificateEntity extends Readonly<Record<string, unknown>> {
  readonly id: string
  readonly cert: string
}

/** An object that a plugin keeps, as it travels to the workers. */
export interface FrameObject {
  readonly plugin: string
  readonly kind: string
  readonly key: string
  readonly value: Readonly<Record<string, unknown>>
}

/** All that a worker needs to route: the one message by which configuration reaches it. */
export interface Frame {
  /** Grows with each frame. */
  readonly version: number
  readonly services: readonly ServiceEntity[]
  readonly routes: readonly StoredRoute[]
  readonly consumers: readonly Consumer[]
  readonly plugins: readonly PluginEntity[]
  readonly certificates: readonly CertificateEntity[]
  readonly snis: readonly SniEntity[]
  readonly ca_certificates: readonly CaCertificateEntity[]
  readonly objects: readonly FrameObject[]
}

/** A matched route, ready to be served. */
export interface Destination {
  readonly route: StoredRoute
  /** The Route's entity, for logs. */
  readonly routeEntity: Readonly<Record<string, unknown>>
  /** `Host` for the upstream, and where it is, unless the client's own `Host` is kept. */
  readonly target: { readonly host: string; readonly origin: Origin } | null
  /** How the upstream is met by TLS, whatever its `Host`; null where it is met in clear. */
  readonly tls: UpstreamTls | null
  readonly service: ServiceEntity | null
  readonly plan: Plan
  /** Lower-case, dashed names beyond the well-known identity set that this route's plugins write: a client's copies are removed. */
  readonly identityHeaders: ReadonlySet<string>
}

export interface Snapshot {
  readonly version: number
  readonly consumers: ConsumerDirectory
  /** Global configurations that have a rewrite phase, in order. */
  readonly rewriters: readonly PluginInstance[]
  /** What runs where no route matches. */
  readonly noRoutePlan: Plan
  /** Of all configurations: a token may be sent to the wrong route, or to none. */
  readonly credentialNames: CredentialNameSets
  /** Some configuration traces requests. */
  readonly traces: boolean
  match(request: RoutableRequest): RouteMatch<StoredRoute> | undefined
  destination(route: StoredRoute): Destination
}

/** The configurations that are in use, across snapshots. Owned by a worker. */
export class PluginInstances {
  readonly #plugins: ReadonlyMap<string, AnyPlugin>
  readonly #kitFor: (plugin: string, pluginId: string) => PluginKit
  readonly #resolve: (reference: string) => string
  #live = new Map<string, { readonly fingerprint: string; readonly instance: PluginInstance }>()

  /** @param resolve the value of a vault reference, or '' where there is none */
  constructor(
    plugins: ReadonlyMap<string, AnyPlugin>,
    kitFor: (plugin: string, pluginId: string) => PluginKit,
    resolve: (reference: string) => string,
  ) {
    this.#plugins = plugins
    this.#kitFor = kitFor
    this.#resolve = resolve
  }

  /**
   * Makes the instances of a frame ready: an unchanged configuration keeps its state, others are configured anew. `commit` closes what is no longer in use.
   * @throws whatever a plugin's `configure` throws; then nothing has changed
   */
  prepare(entities: readonly PluginEntity[]): {
    readonly instances: readonly PluginInstance[]
    readonly commit: () => void
    readonly discard: () => void
  } {
    const next = new Map<string, { readonly fingerprint: string; readonly instance: PluginInstance }>()
    const fresh: PluginInstance[] = []
    const discard = (): void => fresh.forEach(close)
    try {
      for (const entity of entities) {
        const plugin = this.#plugins.get(entity.name)
        if (plugin === undefined || !entity.enabled) continue
        const fingerprint = JSON.stringify([entity.name, entity.config, entity.route, entity.service, entity.consumer])
        const known = this.#live.get(entity.id)
        if (known?.fingerprint === fingerprint) {
          next.set(entity.id, known)
          continue
        }
        const instance = this.#configure(plugin, entity)
        fresh.push(instance)
        next.set(entity.id, { fingerprint, instance })
      }
    } catch (error) {
      discard()
      throw error
    }
    const commit = (): void => {
      const gone = [...this.#live.values()].filter(({ instance }) => next.get(instance.id)?.instance !== instance)
      this.#live = next
      for (const { instance } of gone) close(instance)
    }
    return { instances: [...next.values()].map(({ instance }) => instance), commit, discard }
  }

  /** Drops every cache: all configurations are made anew with the next frame. */
  forget(): void {
    for (const [id, entry] of this.#live) this.#live.set(id, { ...entry, fingerprint: '' })
  }

  #configure(plugin: AnyPlugin, entity: PluginEntity): PluginInstance {
    const scope = { route: entity.route?.id ?? null, service: entity.service?.id ?? null, consumer: entity.consumer?.id ?? null }
    const config = resolveReferences(plugin.schema.fields, entity.config, this.#resolve)
    const identityHeaders = plugin.identityHeaders?.(config) ?? []
    const credentialNames = plugin.credentialNames?.(config) ?? {}
    const state = plugin.configure(config, this.#kitFor(entity.name, entity.id))
    return { id: entity.id, name: entity.name, plugin, state, scope, identityHeaders, credentialNames }
  }
}

/** What it still has to send goes on its own way. */
function close({ plugin, state }: PluginInstance): void {
  plugin.close?.(state)
}

/** Builds the router and everything around it. @throws for a route that no router can be built from */
export function buildSnapshot(
  frame: Frame,
  instances: readonly PluginInstance[],
  { calculation, upstreamTls }: { readonly calculation: 'original' | 'strict'; readonly upstreamTls: UpstreamTlsDefaults },
): Snapshot {
  const services = new Map(frame.services.map((service) => [service.id, service]))
  const routable = frame.routes.filter((route) => route.service === null || services.get(route.service.id)?.enabled !== false)
  const router: Router<StoredRoute> = createTraditionalRouter(routable, { calculation })
  const destinations = new Map<string, Destination>()
  const tlsSource = new UpstreamTlsSource(frame.certificates, frame.ca_certificates, upstreamTls)
  const globals = instances.filter(({ scope }) => scope.route === null && scope.service === null && scope.consumer === null)
  return {
    version: frame.version,
    consumers: createConsumerDirectory(frame.consumers),
    rewriters: globals.filter(({ plugin }) => plugin.rewrite !== undefined).sort((a, b) => comparePriority(a.plugin, b.plugin)),
    noRoutePlan: createPlan(instances, null, null),
    credentialNames: gatherCredentialNames(instances.map(({ credentialNames }) => credentialNames)),
    traces: instances.some(({ plugin }) => plugin.trace !== undefined),
    match: (request) => router.match(request),
    destination(route) {
      const known = destinations.get(route.id)
      if (known !== undefined) return known
      const service = route.service === null ? null : (services.get(route.service.id) ?? null)
      const plan = createPlan(instances, route.id, service?.id ?? null)
      const tls = service === null ? null : tlsSource.of(service)
      const made: Destination = {
        route,
        routeEntity: { ...route },
        target: service === null ? null : targetOf(service, tls),
        tls,
        service,
        plan,
        identityHeaders: identityHeadersOf(plan),
      }
      destinations.set(route.id, made)
      return made
    },
  }
}

function targetOf(service: ServiceEntity, tls: UpstreamTls | null): { host: string; origin: Origin } {
  const host = hostHeaderOf(service)
  return { host, origin: originOf(service, host, tls) }
}

function identityHeadersOf(plan: Plan): ReadonlySet<string> {
  const instances = plan.slots.flatMap(({ standard, byConsumer }) => [
    ...(standard === null ? [] : [standard]),
    ...(byConsumer?.values() ?? []),
  ])
  const names = instances.flatMap(({ identityHeaders }) => identityHeaders.map((name) => dashedName(name.toLowerCase())))
  return new Set(names.filter((name) => (marksOf(name) & IDENTITY) === 0))
}
