/**
 * Runs plugins phase by phase. A phase is a plain loop as long as no plugin has to wait; the first promise turns the rest of the phase into a continuation.
 */

import { errorText } from '../util/errors.ts'
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
    const { plugin, state } = globals[i] as PluginInstance
    const pending = plugin.rewrite?.(context, state)
    if (pending !== undefined) return pending.then(() => continueRewrite(context, globals, i + 1))
  }
}

/**
 * Runs `access` in the order of the plan and collects the instances that apply, for the response phases. After a plugin has answered, the others are still
 * collected but do not run: a 401 gets its CORS headers and its log line like a 200 (Kong).
 */
export function runAccess(context: RequestContext, plan: Plan, collected: PluginInstance[]): PhaseResult {
  return continueAccess(context, plan, collected, 0)
}

function continueAccess(context: RequestContext, plan: Plan, collected: PluginInstance[], start: number): PhaseResult {
  const { slots } = plan
  for (let i = start; i < slots.length; i++) {
    const instance = chooseInstance(slots[i] as Plan['slots'][number], context.identity.consumer?.id)
    if (instance === null) continue
    collected.push(instance)
    if (context.exited) continue
    const pending = instance.plugin.access?.(context, instance.state)
    if (pending !== undefined) return pending.then(() => continueAccess(context, plan, collected, i + 1))
  }
}

/** Runs `headerFilter` on the answer's head. A failure is logged; the answer goes on. */
export function runHeaderFilter(context: RequestContext, instances: readonly PluginInstance[]): void {
  for (const { plugin, state, name } of instances) {
    if (plugin.headerFilter === undefined) continue
    try {
      plugin.headerFilter(context, state)
    } catch (error) {
      context.log.error('plugin failed in header_filter', { plugin: name, reason: errorText(error) })
    }
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
