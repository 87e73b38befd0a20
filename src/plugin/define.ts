/**
 * The whole kit that a plugin's author sees: `pluginSchema` for the configuration, `definePlugin` for the behaviour. A plugin is a folder whose name is the
 * plugin's name, with `schema.ts` and `handler.ts`; nothing else has to know of it.
 */
import type { Check, Field, Fields, Infer, Shorthands } from '../schema/field.ts'
import { field } from '../schema/field.ts'
import type { Subschema } from '../schema/schema.ts'
import type { Trace } from '../telemetry/trace.ts'
import type { RequestContext } from './context.ts'
import type { CredentialNames } from './credential-names.ts'
import type { PluginKit } from './kit.ts'

/** Scopes besides global in which a plugin may be configured. */
export type PluginScope = 'service' | 'route' | 'consumer' | 'consumer_group'

const HTTP_PROTOCOLS = ['grpc', 'grpcs', 'http', 'https'] as const

export interface PluginSchemaOptions<F extends Fields> {
  readonly name: string
  readonly scopes: readonly PluginScope[]
  /** Protocols that may be named; the default is Kong's four HTTP ones. */
  readonly protocols?: readonly string[]
  readonly config: F
  readonly shorthands?: Shorthands
  readonly checks?: readonly Check[]
  /** One paragraph for the reference page. */
  readonly description?: string
}

/** A plugin's configuration schema: the source of types, validation, Admin API answers and documentation. */
export interface PluginSchema<F extends Fields = Fields> {
  readonly name: string
  readonly description: string
  readonly scopes: readonly PluginScope[]
  readonly fields: F
  readonly config: Field
  readonly subschema: Subschema
}

/** Declares a plugin's configuration. `Infer<typeof schema>` is its TypeScript type. */
export function pluginSchema<F extends Fields>(options: PluginSchemaOptions<F>): PluginSchema<F> {
  const { name, scopes, config: fields, shorthands, checks, protocols = HTTP_PROTOCOLS, description = '' } = options
  const config = field.record({
    required: true,
    fields,
    ...(shorthands === undefined ? {} : { shorthands }),
    ...(checks === undefined ? {} : { checks }),
  })
  const closed = Object.fromEntries(
    (['service', 'route', 'consumer', 'consumer_group'] as const).flatMap((scope) =>
      // Consumer groups are not part of the plugin entity yet, so there is nothing to close.
      scopes.includes(scope) || scope === 'consumer_group' ? [] : [[scope, field.foreign(`${scope}s`, { eq: null, onDelete: 'cascade' })]],
    ),
  )
  const subschema: Subschema = {
    fields: {
      ...closed,
      protocols: field.set({ required: true, default: [...HTTP_PROTOCOLS], elements: field.string({ oneOf: [...protocols] }) }),
      config,
    },
  }
  return { name, description, scopes, fields, config, subschema }
}

/** What a phase function may return: nothing when it is done, a promise when it has to wait. */
export type PhaseResult = void | Promise<void>

/**
 * A plugin's behaviour. `State` is what `configure` makes of a configuration, once per configuration, never per request.
 *
 * Phases run in the order of the gateway's phases; within a phase, higher `priority` first. A step with nothing to wait for returns nothing, so that it costs
 * no promise.
 */
export interface Plugin<F extends Fields = Fields, State = unknown> {
  readonly schema: PluginSchema<F>
  readonly version: string
  /** Part of the contract with users: Kong's number for plugins that Kong has. */
  readonly priority: number
  /** The plugin authenticates: it sets the consumer, and identity headers of the client are its to replace. */
  readonly authenticates?: boolean
  /** Header names (any case) beyond the well-known identity set that a configuration makes this plugin write upstream. Client copies are removed. */
  readonly identityHeaders?: (config: Infer<{ fields: F }>) => readonly string[]
  /** Names under which a configuration makes this plugin read or send tokens and keys, beyond the usual ones: no log entry shows their values. */
  readonly credentialNames?: (config: Infer<{ fields: F }>) => CredentialNames
  readonly configure: (config: Infer<{ fields: F }>, kit: PluginKit) => State
  /** Decides about the request's trace, as soon as it is known which configuration applies and before other plugins of the route run. */
  readonly trace?: (context: RequestContext, trace: Trace, state: State) => void
  /** Called with each request, before routing; global configurations only. */
  readonly rewrite?: (context: RequestContext, state: State) => PhaseResult
  readonly access?: (context: RequestContext, state: State) => PhaseResult
  /** Response head, ours or the upstream's, before it is sent. Nothing may be awaited here. */
  readonly headerFilter?: (context: RequestContext, state: State) => void
  /** One chunk of the response body; returns what is sent instead. `last` comes once, possibly with an empty chunk. */
  readonly bodyFilter?: (context: RequestContext, state: State, chunk: Uint8Array, last: boolean) => Uint8Array
  /** After the last byte. Failures are logged and change nothing. */
  readonly log?: (context: RequestContext, state: State) => void
  /** The configuration is gone: release timers and caches. */
  readonly close?: (state: State) => void
}

/** Type inference for a plugin; returns its argument. */
export function definePlugin<F extends Fields, State>(plugin: Plugin<F, State>): Plugin<F, State> {
  return plugin
}

/** A plugin whose configuration and state types do not matter to the caller. */
export type AnyPlugin = Plugin<Fields, unknown>
