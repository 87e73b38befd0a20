import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fakeContext } from '../../test/support/fake-context.ts'
import type { Fields } from '../schema/field.ts'
import { currentSpan, readTraceSettings, type Span, Trace } from '../telemetry/trace.ts'
import { GatewayError } from '../util/errors.ts'
import type { RequestContext } from './context.ts'
import { definePlugin, type PhaseResult, pluginSchema } from './define.ts'
import { runAccess, runHeaderFilter, runRewrite } from './phases.ts'
import { createPlan, type PluginInstance } from './plan.ts'

class StaticError extends GatewayError {
  readonly code = 'GW_STATIC'
  readonly source = 'idp'
  readonly status = 503
}

/** A configuration of a plugin `name` that runs `step` in each phase. */
function instanceOf(name: string, step: () => PhaseResult): PluginInstance {
  const schema = pluginSchema({ name, scopes: [], config: {} })
  const plugin = definePlugin<Fields, unknown>({
    schema,
    version: '1',
    priority: 1,
    configure: () => null,
    rewrite: step,
    access: step,
    headerFilter: () => void step(),
  })
  return {
    id: name,
    name,
    plugin,
    state: null,
    scope: { route: null, service: null, consumer: null },
    identityHeaders: [],
    credentialNames: {},
  }
}

/** A context of a sampled request. */
function traced(names = ['all']): RequestContext & { readonly trace: Trace } {
  const trace = new Trace(readTraceSettings(names, 1), 1000, 0)
  trace.decide(true)
  return Object.assign(fakeContext(), { trace })
}

const access = (context: RequestContext, instance: PluginInstance): PhaseResult =>
  runAccess(context, createPlan([instance], null, null), [])
const madeIn = (trace: Trace): readonly Span[] => trace.finish().slice(1)

test('a plugin that waits has a span until it is done, and finds it', async () => {
  const context = traced()
  const found: (Span | undefined)[] = []
  await access(
    context,
    instanceOf('slow', async () => {
      found.push(currentSpan())
      await null
      found.push(currentSpan())
    }),
  )
  const spans = madeIn(context.trace)
  assert.deepEqual(
    spans.map(({ name, parentId, error }) => [name, parentId, error]),
    [['kong.access.plugin.slow', context.trace.root.id, null]],
  )
  assert.deepEqual(found, [spans[0], spans[0]])
  assert.equal(currentSpan(), undefined)
})

test('rewrite and header_filter have spans of their own', () => {
  const context = traced()
  const instance = instanceOf('quick', () => {})
  assert.equal(runRewrite(context, [instance]), undefined)
  runHeaderFilter(context, [instance])
  assert.deepEqual(
    madeIn(context.trace).map(({ name }) => name),
    ['kong.rewrite.plugin.quick', 'kong.header_filter.plugin.quick'],
  )
})

test('what a plugin throws goes on and marks its span; only a text that is known to be harmless is told', async () => {
  const cases: readonly [error: Error, told: object][] = [
    [new Error('secret-token'), { 'exception.type': 'Error' }],
    [new StaticError('no answer'), { 'exception.type': 'GW_STATIC', 'exception.message': 'no answer' }],
  ]
  for (const [error, told] of cases) {
    const context = traced()
    await assert.rejects(
      async () =>
        access(
          context,
          instanceOf('p', () => Promise.reject(error)),
        ),
      error,
    )
    assert.throws(
      () =>
        access(
          context,
          instanceOf('p', () => {
            throw error
          }),
        ),
      error,
    )
    for (const span of madeIn(context.trace)) {
      assert.notEqual(span.error, null)
      assert.deepEqual(
        span.events?.map(({ name, attributes }) => [name, attributes]),
        [['exception', told]],
      )
    }
  }
})

test('an untraced, an unsampled and a request without spans for plugins run as ever', () => {
  for (const context of [fakeContext(), traced(['request'])]) {
    let runs = 0
    if (context.trace !== null && context.trace.settings.instrumentations.size > 0) context.trace.decide(false)
    access(
      context,
      instanceOf('p', () => {
        runs++
      }),
    )
    assert.equal(runs, 1)
    if (context.trace !== null) assert.deepEqual(madeIn(context.trace), [])
  }
})
