/**
 * Which configuration of which plugin runs. A plugin runs at most once per request; its configuration is the most specific enabled one, and configurations
 * never merge. Order of precedence (Kong, with consumer groups left out until they exist):
 *
 *   1. consumer + route + service   2. consumer + route   3. consumer + service   4. route + service   5. consumer   6. route   7. service   8. global
 *
 * The choice is made when the plugin's turn comes, with the consumer known at that moment: what runs before the authenticating plugin never uses a
 * consumer's configuration, what runs after it does.
 */
import type { CredentialNames } from './credential-names.ts'
import type { AnyPlugin } from './define.ts'

/** One configuration of a plugin, made ready. */
export interface PluginInstance {
  readonly id: string
  readonly plugin: AnyPlugin
  readonly state: unknown
  readonly scope: PluginInstanceScope
  /** Name of the plugin, for logs. */
  readonly name: string
  /** Header names that this configuration writes upstream, beyond the well-known identity set. */
  readonly identityHeaders: readonly string[]
  /** Names under which this configuration reads or sends credentials, beyond the usual ones. */
  readonly credentialNames: CredentialNames
}

export interface PluginInstanceScope {
  readonly route: string | null
  readonly service: string | null
  readonly consumer: string | null
}

/** The place of one plugin in a plan. */
export interface Slot {
  readonly plugin: AnyPlugin
  /** For requests without a consumer, and for consumers without a configuration of their own. */
  readonly standard: PluginInstance | null
  /** Only consumers whose configuration differs from `standard`. */
  readonly byConsumer: ReadonlyMap<string, PluginInstance> | null
}

/** What runs for one route, in order of priority. */
export interface Plan {
  readonly slots: readonly Slot[]
  /** The instances, where no consumer can change them: then nothing has to be collected per request. */
  readonly fixed: readonly PluginInstance[] | null
  /** The place of the plugin that traces; null where none does. */
  readonly tracer: Slot | null
  /** Some plugin authenticates. */
  readonly authenticates: boolean
}

/** Higher number first; equal numbers in reverse alphabetical order (Kong). */
export function comparePriority(a: AnyPlugin, b: AnyPlugin): number {
  return b.priority - a.priority || (a.schema.name < b.schema.name ? 1 : -1)
}

/** The plan of a route and its service; both null for requests that no route matches, where only global configurations run. */
export function createPlan(instances: readonly PluginInstance[], routeId: string | null, serviceId: string | null): Plan {
  const applying = instances.filter(
    ({ scope }) => (scope.route === null || scope.route === routeId) && (scope.service === null || scope.service === serviceId),
  )
  const byPlugin = [...Map.groupBy(applying, ({ plugin }) => plugin)].sort(([a], [b]) => comparePriority(a, b))
  const slots = byPlugin.map(([plugin, own]) => createSlot(plugin, own))
  const fixed = slots.every((slot) => slot.byConsumer === null) ? slots.flatMap((slot) => slot.standard ?? []) : null
  const tracer = slots.find(({ plugin }) => plugin.trace !== undefined) ?? null
  return { slots, fixed, tracer, authenticates: slots.some((slot) => slot.plugin.authenticates === true) }
}

function createSlot(plugin: AnyPlugin, instances: readonly PluginInstance[]): Slot {
  const standard = mostSpecific(instances.filter((instance) => instance.scope.consumer === null))
  const own = instances.filter((instance) => instance.scope.consumer !== null)
  if (own.length === 0) return { plugin, standard, byConsumer: null }
  const byConsumer = new Map<string, PluginInstance>()
  for (const [consumer, candidates] of Map.groupBy(own, ({ scope }) => scope.consumer as string)) {
    const chosen = mostSpecific(standard === null ? candidates : [...candidates, standard])
    if (chosen !== null && chosen !== standard) byConsumer.set(consumer, chosen)
  }
  return { plugin, standard, byConsumer: byConsumer.size === 0 ? null : byConsumer }
}

function mostSpecific(instances: readonly PluginInstance[]): PluginInstance | null {
  return instances.reduce<PluginInstance | null>(
    (best, instance) => (best === null || rank(instance.scope) < rank(best.scope) ? instance : best),
    null,
  )
}

function rank({ route, service, consumer }: PluginInstanceScope): number {
  const key = `${consumer === null ? '' : 'c'}${route === null ? '' : 'r'}${service === null ? '' : 's'}`
  return RANKS.indexOf(key)
}

const RANKS = ['crs', 'cr', 'cs', 'rs', 'c', 'r', 's', '']

/** The configuration of `slot` for a request whose consumer is known as `consumerId` by now. */
export function chooseInstance(slot: Slot, consumerId: string | undefined): PluginInstance | null {
  if (slot.byConsumer === null || consumerId === undefined) return slot.standard
  return slot.byConsumer.get(consumerId) ?? slot.standard
}
