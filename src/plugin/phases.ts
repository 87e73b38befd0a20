/**
 * Runs plugins phase by phase. A phase is a plain loop as long as no plugin has to wait; the first promise turns the rest of the phase into a continuation.
 */

import { inSpan, type Trace } from '../telemetry/trace.ts'
import { errorText, GatewayError } from '../util/errors.ts'
import type { RequestContext } from './context.ts'
import type { PhaseResult } from './define.ts'
import type { Plan, PluginInstance } from './plan.ts'
import { chooseInstance } from './plan.ts'

/** Runs `rewrite` of the global configurations, before a route is known. */
export function runRewrite(context: RequestContext, globals: readonly PluginInstance[]): PhaseResult {
  return continueRewrite(context, globals, 0)
}

function continueRewrite(context: RequestContext, globals: readonly PluginInstance[], start: number): PhaseResult {
  for (let i = start; i < globals.length && !context.exited; i++) {
    const instance = globals[i] as PluginInstance
    const { trace } = context
    const pending = trace === null ? instance.plugin.rewrite?.(context, instance.state) : runTraced(trace, 'rewrite', context, instance)
    if (pending !== undefined) return pending.then(() => continueRewrite(context, globals, i + 1))
  }
}

/**
 * Runs `access` in the order of the plan and collects the instances that apply, for the response phases. After a plugin has answered, the others are still
 * collected but do not run: a 401 gets its CORS headers and its log line like a 200 (Kong).
 *
 * @param collected null where `plan.fixed` says it all
 */
export function runAccess(context: RequestContext, plan: Plan, collected: PluginInstance[] | null): PhaseResult {
  return continueAccess(context, plan, collected, 0)
}

function continueAccess(context: RequestContext, plan: Plan, collected: PluginInstance[] | null, start: number): PhaseResult {
  const { slots } = plan
  for (let i = start; i < slots.length; i++) {
    const instance = chooseInstance(slots[i] as Plan['slots'][number], context.identity.consumer?.id)
    if (instance === null) continue
    collected?.push(instance)
    if (context.exited) continue
    const { trace } = context
    const pending = trace === null ? instance.plugin.access?.(context, instance.state) : runTraced(trace, 'access', context, instance)
    if (pending !== undefined) return pending.then(() => continueAccess(context, plan, collected, i + 1))
  }
}

/** Runs one plugin within a span of its own, if its request is sampled. */
function runTraced(
  trace: Trace,
  phase: 'rewrite' | 'access',
  context: RequestContext,
  { plugin, state, name }: PluginInstance,
): PhaseResult {
  if (!trace.records || plugin[phase] === undefined) return plugin[phase]?.(context, state)
  const span = trace.start(phase === 'access' ? 'plugin_access' : 'plugin_rewrite', `kong.${phase}.plugin.${name}`, 'internal')
  const failed = (error: unknown): never => {
    span?.failWith(...exceptionOf(error))
    span?.end()
    throw error
  }
  try {
    const pending = inSpan(span ?? trace.root, () => plugin[phase]?.(context, state))
    if (pending !== undefined) return pending.then(() => span?.end(), failed)
  } catch (error) {
    failed(error)
  }
  span?.end()
}

/** What a span may say of an error: its kind, and its message where that is known to hold nothing of the request. */
function exceptionOf(error: unknown): [type: string, message?: string] {
  if (error instanceof GatewayError) return [error.code, error.message]
  return [error instanceof Error ? error.name : typeof error]
}

/** Runs `headerFilter` on the answer's head. A failure is logged; the answer goes on. */
export function runHeaderFilter(context: RequestContext, instances: readonly PluginInstance[]): void {
  const { trace } = context
  for (const { plugin, state, name } of instances) {
    if (plugin.headerFilter === undefined) continue
    const span = trace?.start('plugin_header_filter', `kong.header_filter.plugin.${name}`, 'internal')
    try {
      plugin.headerFilter(context, state)
    } catch (error) {
      span?.failWith(...exceptionOf(error))
      context.log.error('plugin failed in header_filter', { plugin: name, reason: errorText(error) })
    }
    span?.end()
  }
}

/** Those of `instances` that look at the body; usually none, and then chunks pass untouched. */
export function bodyFilters(instances: readonly PluginInstance[]): readonly PluginInstance[] {
  for (const instance of instances)
    if (instance.plugin.bodyFilter !== undefined) return instances.filter(({ plugin }) => plugin.bodyFilter !== undefined)
  return NONE
}

const NONE: readonly PluginInstance[] = []

/** Passes one chunk through the body filters. A failure is logged; the chunk goes on as it is. */
export function runBodyFilter(context: RequestContext, filters: readonly PluginInstance[], chunk: Uint8Array, last: boolean): Uint8Array {
  let bytes = chunk
  for (const { plugin, state, name } of filters) {
    try {
      bytes = plugin.bodyFilter?.(context, state, bytes, last) ?? bytes
    } catch (error) {
      context.log.error('plugin failed in body_filter', { plugin: name, reason: errorText(error) })
    }
  }
  return bytes
}

/** Runs `log` after the last byte. */
export function runLog(context: RequestContext, instances: readonly PluginInstance[]): void {
  for (const { plugin, state, name } of instances) {
    if (plugin.log === undefined) continue
    try {
      plugin.log(context, state)
    } catch (error) {
      context.log.error('plugin failed in log', { plugin: name, reason: errorText(error) })
    }
  }
}
