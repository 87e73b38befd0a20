import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { fakeContext } from '../../../test/support/fake-context.ts'
import { fakeKit } from '../../../test/support/fake-kit.ts'
import { completeConfig } from '../../../test/support/plugin-config.ts'
import type { RequestContext } from '../../plugin/context.ts'
import type { PluginKit } from '../../plugin/kit.ts'
import { logEntry } from '../../plugin/log-entry.ts'
import type { JsonObject } from '../../schema/validate.ts'
import { SchemaViolation } from '../../schema/violations.ts'
import plugin from './handler.ts'
import { type Config, schema } from './schema.ts'

const UUID = '[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}'
const HEADER = 'kong-request-id'

const createKit = (): PluginKit => fakeKit({ now: () => 1_700_000_000_123 })

function configured(change: Partial<Config> = {}, kit = createKit()) {
  const state = plugin.configure({ header_name: 'Kong-Request-ID', generator: 'uuid#counter', echo_downstream: false, ...change }, kit)
  return {
    access: (context: RequestContext) => void plugin.access?.(context, state),
    headerFilter: (context: RequestContext) => plugin.headerFilter?.(context, state),
  }
}

function send(change: Partial<Config> = {}, headers: readonly (readonly [string, string])[] = [], kit = createKit()): RequestContext {
  const context = fakeContext({ headers })
  const { access, headerFilter } = configured(change, kit)
  access(context)
  headerFilter(context)
  return context
}

function loggedId(context: RequestContext): unknown {
  return (logEntry(context) as { correlation_id?: unknown }).correlation_id
}

describe('an id', () => {
  test('is a UUID of the process and a number that grows over all configurations', () => {
    const kit = createKit()
    const ids = [send({}, [], kit), send({ header_name: 'X-Other' }, [], kit), send({}, [], kit)].map(loggedId)
    const [first = ''] = ids as string[]
    assert.match(first, new RegExp(`^${UUID}#1$`))
    assert.deepEqual(
      ids,
      [1, 2, 3].map((n) => first.replace('#1', `#${n}`)),
    )
  })

  test('is a UUID of its own', () => {
    const ids = [send({ generator: 'uuid' }), send({ generator: 'uuid' })].map(loggedId)
    for (const id of ids) assert.match(String(id), new RegExp(`^${UUID}$`))
    assert.notEqual(ids[0], ids[1])
  })

  test('tells address, port, process, connection, request on it and time', () => {
    assert.equal(loggedId(send({ generator: 'tracker' })), `192.0.2.2-8000-${process.pid}-0-0-1700000000.123`)
  })

  test('goes upstream in the configured header, and to the client only where that is wanted', () => {
    const quiet = send({ header_name: 'X-Id' })
    assert.equal(quiet.request.headers.get('x-id'), loggedId(quiet))
    assert.equal(quiet.response.headers.has('x-id'), false)
    const loud = send({ header_name: 'X-Id', echo_downstream: true })
    assert.equal(loud.response.headers.get('x-id'), loggedId(loud))
  })

  test('is made for the answer where access did not run', () => {
    const context = fakeContext()
    configured({ echo_downstream: true }).headerFilter(context)
    assert.equal(context.response.headers.get(HEADER), loggedId(context))
    assert.ok(context.response.headers.has(HEADER))
  })
})

describe('an id of the client', () => {
  test('is kept, also in the log and in the answer', () => {
    const context = send({ echo_downstream: true }, [['KONG-REQUEST-ID', 'mine']])
    assert.equal(context.request.headers.get(HEADER), 'mine')
    assert.equal(context.response.headers.get(HEADER), 'mine')
    assert.equal(loggedId(context), 'mine')
  })

  test('is replaced where it is empty or longer than 256 characters', () => {
    for (const value of ['', '  ', 'x'.repeat(257)]) {
      const context = send({}, [['Kong-Request-ID', value]])
      assert.match(String(context.request.headers.get(HEADER)), /#1$/)
      assert.equal(context.request.headers.count(HEADER), 1)
    }
    assert.equal(loggedId(send({}, [['Kong-Request-ID', 'x'.repeat(256)]])), 'x'.repeat(256))
  })
})

describe('configuration', () => {
  const complete = (config: JsonObject) => completeConfig(schema, config)

  test('nothing is needed', () => {
    assert.deepEqual(complete({}), { header_name: 'Kong-Request-ID', generator: 'uuid#counter', echo_downstream: false })
  })

  test('a header that frames the message, or is no name, is refused', () => {
    for (const header_name of ['Content-Length', 'host', 'Transfer-Encoding', 'a b']) {
      assert.throws(() => complete({ header_name }), SchemaViolation, header_name)
    }
  })
})
