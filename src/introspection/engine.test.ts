import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type FakeRequest, fakeContext, recordingLog, sharedObjects } from '../../test/support/fake-context.ts'
import { scriptedHttp } from '../../test/support/scripted-http.ts'
import { toHttpRequest } from '../oauth/form.ts'
import { interpretIntrospection, introspectionRequest } from '../oauth/introspection.ts'
import { inSpan, readTraceSettings, Trace } from '../telemetry/trace.ts'
import { NO_RULES, requirement } from './authorization.ts'
import { type Decision, Denials } from './decision.ts'
import { createEngine, type Engine } from './engine.ts'
import { encodePlain, HeaderProjection } from './header-projection.ts'
import { createSharedIntrospection, SHARED_NAME } from './introspector.ts'
import { fingerprintOf, type Lifetimes, type Profile } from './profile.ts'

const SETTINGS = {
  introspection_cache_max_entries: 1000,
  introspection_cache_negative_max_entries: 100,
  introspection_cache_max_bytes: 10_000_000,
}
const TEXT = { status: 401, error: 'e', description: 'd', challenge: null }
const ALICE = { id: 'c1', username: 'alice', custom_id: null, tags: null }

type Change = Omit<Partial<Profile>, 'lifetimes'> & { lifetimes?: Partial<Lifetimes>; timeoutMs?: number }

function profileOf({ lifetimes, timeoutMs = 1000, ...more }: Change = {}): Profile {
  return {
    name: 'test',
    fingerprint: fingerprintOf('test'),
    extraction: { head: [{ kind: 'authorization', schemes: ['bearer'] }], body: null },
    call: {
      server: 'https://as.example/introspect',
      timeoutMs,
      keepaliveMs: 1000,
      verifyTls: true,
      request: (token) => toHttpRequest(introspectionRequest({ endpoint: 'https://as.example/introspect', token })),
      interpret: interpretIntrospection,
    },
    variation: null,
    lifetimes: { withoutExpS: 30, minS: 0, maxS: 30, negativeS: 5, staleS: 0, ...lifetimes },
    verification: { verifyTimes: true, leewayMs: 0 },
    authorization: NO_RULES,
    consumer: { claims: [['username']], by: ['username'], ignoreUsernameCase: false, accepts: new Set(['string']), optional: true },
    projection: new HeaderProjection({
      claimHeaders: [{ name: 'X-Credential-Scope', path: ['scope'] }],
      encode: encodePlain,
      maxValueBytes: 100,
    }),
    credential: (_claims, id) => ({ id }),
    hideCredentials: false,
    denials: new Denials({
      no_token: TEXT,
      invalid_token: TEXT,
      forbidden: { ...TEXT, status: 403 },
      no_consumer: { ...TEXT, status: 403 },
    }),
    ...more,
  }
}

function setUp(change: Change = {}) {
  const clock = { nowMs: 1_700_000_000_000 }
  const http = scriptedHttp({ json: { active: true, username: 'alice', scope: 'read' } })
  const logged = recordingLog()
  const now = () => clock.nowMs
  const shared = sharedObjects()
  const introspection = shared(SHARED_NAME, () => createSharedIntrospection(SETTINGS, now))
  const kit = { log: logged.log, now, settings: SETTINGS, httpClient: () => http.client, shared }
  const engine = createEngine(profileOf(change), kit)
  return { clock, http, engine, kit, logged, introspection }
}

const consumers = fakeContext({ consumers: [ALICE] }).consumers
const bearer = (token: string): FakeRequest => ({ headers: [['Authorization', `Bearer ${token}`]] })
const ask = (engine: Engine, token = 'T'): Decision | Promise<Decision> => engine.decide(fakeContext(bearer(token)).request, consumers)
const turn = () => new Promise<void>((resolve) => setImmediate(resolve))
const DOWN = { error: Object.assign(new Error('no'), { code: 'ECONNREFUSED' }) }

test('a stored answer gives its decision without a promise, also a negative one', async () => {
  const { engine, http } = setUp()
  assert.equal((await ask(engine)).kind, 'allow')
  const hit = ask(engine)
  assert.ok(!(hit instanceof Promise))
  assert.equal(hit.kind, 'allow')
  http.answer({ json: { active: false } })
  await ask(engine, 'U')
  const negative = ask(engine, 'U')
  assert.ok(!(negative instanceof Promise))
  assert.equal(negative.kind, 'deny')
  assert.equal(http.requests.length, 2)
  const { hits, negatives, misses, calls } = engine.counters
  assert.deepEqual({ hits, negatives, misses, calls }, { hits: 2, negatives: 1, misses: 2, calls: 2 })
})

test('the answer is stored and not the decision: the consumer is looked up each time', async () => {
  const { engine } = setUp()
  await ask(engine)
  const nobody = fakeContext().consumers
  const decision = await engine.decide(fakeContext(bearer('T')).request, nobody)
  assert.equal(decision.kind === 'allow' && decision.consumer, null)
  const known = await ask(engine)
  assert.equal(known.kind === 'allow' && known.consumer?.id, 'c1')
})

test('requirements, and a consumer that must be there, are 403', async () => {
  const scope = requirement('scope', ['scope'], ['write'])
  assert.ok(scope !== null)
  const forbidden = await ask(setUp({ authorization: { requirements: [scope], forbidden: [] } }).engine)
  assert.ok(forbidden.kind === 'deny')
  assert.deepEqual([forbidden.status, forbidden.cause, forbidden.mayBeAnonymous], [403, 'forbidden', false])
  const { consumer } = profileOf()
  const unknown = await ask(setUp({ consumer: { ...consumer, claims: [['nick']], optional: false } }).engine)
  assert.ok(unknown.kind === 'deny')
  assert.deepEqual([unknown.status, unknown.cause, unknown.mayBeAnonymous], [403, 'no_consumer', true])
})

test('a thousand requests with one token are one call, and each has its decision', async () => {
  const { engine, http } = setUp()
  http.hold()
  const waiting = Array.from({ length: 1000 }, () => ask(engine))
  http.release()
  assert.deepEqual(new Set((await Promise.all(waiting)).map(({ kind }) => kind)), new Set(['allow']))
  assert.equal(http.requests.length, 1)
  assert.equal(engine.counters.coalesced, 999)
})

test('distinct tokens do not wait for each other', async () => {
  const { engine, http } = setUp()
  http.hold()
  const first = ask(engine, 'A')
  const second = ask(engine, 'B')
  await turn()
  assert.equal(http.requests.length, 2)
  http.release()
  await Promise.all([first, second])
})

test('at expiry there is one call as well', async () => {
  const { engine, http, clock } = setUp()
  await ask(engine)
  clock.nowMs += 30_000
  await Promise.all(Array.from({ length: 50 }, () => ask(engine)))
  assert.equal(http.requests.length, 2)
})

test('a failure is unavailable for those who wait, and the next request asks again', async () => {
  const { engine, http } = setUp()
  http.answer(DOWN)
  const decisions = await Promise.all([ask(engine), ask(engine)])
  for (const decision of decisions) {
    assert.ok(decision.kind === 'unavailable')
    assert.equal(decision.status, 503)
    assert.equal(decision.failure.failure, 'transport')
    assert.equal(decision.failure.detail, 'ECONNREFUSED')
  }
  assert.equal(http.requests.length, 1)
  http.answer({ json: { active: true } })
  assert.equal((await ask(engine)).kind, 'allow')
})

test('kinds of failure are kept apart', async () => {
  const kinds = async (answer: Parameters<ReturnType<typeof scriptedHttp>['answer']>[0]) => {
    const { engine, http } = setUp()
    http.answer(answer)
    const decision = await ask(engine)
    assert.ok(decision.kind === 'unavailable')
    return [decision.status, decision.failure.failure, decision.failure.endpointStatus]
  }
  assert.deepEqual(await kinds({ status: 401 }), [503, 'refused', 401])
  assert.deepEqual(await kinds({ status: 403 }), [503, 'refused', 403])
  assert.deepEqual(await kinds({ status: 302 }), [503, 'status', 302])
  assert.deepEqual(await kinds({ status: 500 }), [503, 'status', 500])
  assert.deepEqual(await kinds({ text: '[]' }), [503, 'malformed', 200])
  const timeout = new Error('x', { cause: new DOMException('x', 'TimeoutError') })
  assert.deepEqual(await kinds({ error: timeout }), [503, 'timeout', null])
})

test('a request that our configuration cannot make is our fault', async () => {
  const { call } = profileOf()
  const request = () => {
    throw new TypeError('no')
  }
  const { engine, http } = setUp({ call: { ...call, request } })
  const decision = await ask(engine)
  assert.ok(decision.kind === 'unavailable')
  assert.equal(decision.status, 500)
  assert.equal(http.requests.length, 0)
})

test('a call has a deadline of three steps, after which its key is free again', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const { engine, http } = setUp({ timeoutMs: 200 })
  http.hold()
  const waiting = ask(engine)
  t.mock.timers.tick(600)
  const decision = await waiting
  assert.equal(decision.kind === 'unavailable' && decision.failure.failure, 'timeout')
  http.release()
  assert.equal((await ask(engine)).kind, 'allow')
})

test('a server that is down is left alone after ten failures, and found again half a second after its return', async () => {
  const { engine, http, clock } = setUp()
  http.answer(DOWN)
  for (let i = 0; i < 20; i++) await ask(engine, `T${i}`)
  assert.equal(http.requests.length, 10)
  assert.equal(engine.counters.failures.suspended, 10)
  http.answer({ json: { active: true } })
  clock.nowMs += 500
  assert.equal((await ask(engine)).kind, 'allow')
  assert.equal((await ask(engine, 'U')).kind, 'allow')
})

test('stored answers are used while the server is left alone', async () => {
  const { engine, http } = setUp()
  await ask(engine, 'good')
  http.answer(DOWN)
  for (let i = 0; i < 20; i++) await ask(engine, `T${i}`)
  assert.equal((await ask(engine, 'good')).kind, 'allow')
})

test('status 500 for bad tokens does not shut out the others', async () => {
  const { engine, http } = setUp()
  http.answer({ status: 500 })
  for (let i = 0; i < 20; i++) await ask(engine, `T${i}`)
  http.answer({ json: { active: true } })
  assert.equal((await ask(engine)).kind, 'allow')
})

test('Retry-After of the server is kept and passed on', async () => {
  for (const status of [429, 503]) {
    const { engine, http, clock } = setUp()
    http.answer({ status, headers: { 'retry-after': '7' } })
    const first = await ask(engine)
    assert.equal(first.kind === 'unavailable' && first.retryAfterS, 7)
    clock.nowMs += 2000
    const second = await ask(engine)
    assert.equal(second.kind === 'unavailable' && second.retryAfterS, 5)
    assert.equal(http.requests.length, 1)
    clock.nowMs += 5000
    http.answer({ json: { active: true } })
    assert.equal((await ask(engine)).kind, 'allow')
  }
})

test('a hot answer is refreshed once before its end, and nobody waits', async () => {
  const { engine, http, clock } = setUp()
  await ask(engine)
  clock.nowMs += 26_000
  ask(engine)
  ask(engine)
  assert.equal(http.requests.length, 1)
  clock.nowMs += 1500
  http.hold()
  for (let i = 0; i < 10; i++) assert.ok(!(ask(engine) instanceof Promise))
  await turn()
  assert.equal(http.requests.length, 2)
  http.release()
  await turn()
  clock.nowMs += 25_000
  assert.ok(!(ask(engine) instanceof Promise))
  assert.equal(engine.counters.refreshes, 1)
})

test('an answer that nobody uses, or that lives short, or that exp ends, is not refreshed', async () => {
  const cold = setUp()
  await ask(cold.engine)
  cold.clock.nowMs += 29_000
  ask(cold.engine)
  const short = setUp({ lifetimes: { maxS: 5, withoutExpS: 5 } })
  const ended = setUp()
  ended.http.answer({ json: { active: true, exp: (ended.clock.nowMs + 20_000) / 1000 } })
  for (const { engine, clock } of [short, ended]) {
    await ask(engine)
    clock.nowMs += 4900
    for (let i = 0; i < 9; i++) ask(engine)
  }
  ended.clock.nowMs += 15_000
  for (let i = 0; i < 9; i++) ask(ended.engine)
  for (const { http } of [cold, short, ended]) assert.equal(http.requests.length, 1)
})

test('"not active" from a refresh ends the stored answer at once, a failure leaves it to its own end', async () => {
  for (const [answer, kind] of [
    [{ json: { active: false } }, 'deny'],
    [{ status: 400, text: '{"error":"invalid_token"}' }, 'deny'],
    [DOWN, 'allow'],
    [{ status: 500 }, 'allow'],
  ] as const) {
    const { engine, http, clock, logged } = setUp()
    await ask(engine)
    for (let i = 0; i < 2; i++) ask(engine)
    http.answer(answer)
    clock.nowMs += 28_000
    ask(engine)
    await turn()
    assert.equal((await ask(engine)).kind, kind)
    assert.equal(logged.lines.length, kind === 'allow' ? 1 : 0)
    clock.nowMs += 2000
    assert.notEqual((await ask(engine)).kind, 'allow')
  }
})

test('a refresh describes the request as it was, whatever has become of it', async () => {
  const { call } = profileOf()
  const seen: (string | undefined)[] = []
  const request: typeof call.request = (token, about) => {
    seen.push(about.headers.get('authorization'))
    return call.request(token, about)
  }
  const { engine, http, clock } = setUp({ call: { ...call, request }, hideCredentials: true })
  await ask(engine)
  for (let i = 0; i < 2; i++) ask(engine)
  clock.nowMs += 28_000
  http.hold()
  ask(engine)
  await turn()
  engine.invalidate('T')
  http.release()
  await turn()
  assert.deepEqual(seen, ['Bearer T', 'Bearer T', 'Bearer T'])
})

test('nothing is refreshed ahead while the server is failing', async () => {
  const { engine, http, clock } = setUp()
  await ask(engine)
  for (let i = 0; i < 2; i++) ask(engine)
  clock.nowMs += 28_000
  http.answer(DOWN)
  await ask(engine, 'U')
  ask(engine)
  await turn()
  assert.equal(http.requests.length, 2)
  http.answer({ json: { active: true } })
  await ask(engine, 'U')
  ask(engine)
  await turn()
  assert.equal(http.requests.length, 4)
})

test('without the setting no answer is used past its end', async () => {
  const { engine, http, clock } = setUp()
  await ask(engine)
  http.answer(DOWN)
  clock.nowMs += 30_000
  assert.equal((await ask(engine)).kind, 'unavailable')
})

test('a stale answer stands in only while the server fails, only as long as set, never beyond exp, and says so', async () => {
  const { engine, http, clock } = setUp({ lifetimes: { staleS: 60 } })
  await ask(engine)
  http.answer(DOWN)
  clock.nowMs += 30_000
  const stale = await ask(engine)
  assert.ok(stale.kind === 'allow')
  assert.equal(stale.stale?.failure, 'transport')
  assert.equal(engine.counters.stale, 1)
  http.answer({ status: 401 })
  assert.equal((await ask(engine)).kind, 'unavailable')
  http.answer(DOWN)
  clock.nowMs += 60_000
  assert.equal((await ask(engine)).kind, 'unavailable')

  const ended = setUp({ lifetimes: { staleS: 3600 } })
  ended.http.answer({ json: { active: true, exp: (ended.clock.nowMs + 40_000) / 1000 } })
  await ask(ended.engine)
  ended.http.answer(DOWN)
  ended.clock.nowMs += 39_999
  assert.equal((await ask(ended.engine)).kind, 'allow')
  ended.clock.nowMs += 1
  assert.equal((await ask(ended.engine)).kind, 'unavailable')
})

test('no stale answer after "not active" or an invalidation', async () => {
  const { engine, http, clock } = setUp({ lifetimes: { staleS: 600 } })
  await ask(engine)
  clock.nowMs += 30_000
  http.answer({ json: { active: false } })
  assert.equal((await ask(engine)).kind, 'deny')
  http.answer(DOWN)
  clock.nowMs += 5000
  assert.equal((await ask(engine)).kind, 'unavailable')
  for (const invalidate of [() => engine.invalidate('T'), () => engine.invalidateAll()]) {
    http.answer({ json: { active: true } })
    await ask(engine)
    invalidate()
    http.answer(DOWN)
    assert.equal((await ask(engine)).kind, 'unavailable')
  }
})

test('who asked before an invalidation gets an answer from after it', async () => {
  const { engine, http } = setUp()
  http.hold()
  const waiting = ask(engine)
  let asked = 0
  http.answer(() => ({ json: { active: asked++ === 0 } }))
  engine.invalidate('T')
  http.release()
  assert.equal((await waiting).kind, 'deny')
  assert.equal(http.requests.length, 2)
})

test('exp and nbf hold at each use, whatever else is set', async () => {
  const { engine, http, clock } = setUp({ verification: { verifyTimes: true, leewayMs: 0 } })
  http.answer({ json: { active: true, exp: String((clock.nowMs + 2000) / 1000) } })
  await ask(engine)
  clock.nowMs += 1999
  assert.equal((await ask(engine)).kind, 'allow')
  clock.nowMs += 1
  assert.equal((await ask(engine)).kind, 'deny')
})

test('engines share memory and guards but no answers', async () => {
  const { engine, kit, http, introspection } = setUp()
  const other = createEngine(profileOf(), kit)
  await ask(engine)
  await ask(other)
  assert.equal(http.requests.length, 2)
  http.answer(DOWN)
  for (let i = 0; i < 10; i++) await ask(engine, `T${i}`)
  assert.equal((await ask(other, 'U')).kind === 'unavailable' && http.requests.length, 12)
  introspection.cache.invalidateAll()
  assert.equal((await ask(engine)).kind, 'unavailable')
})

test('a closed engine still serves who came before, stores nothing and may be closed twice', async () => {
  const { engine, http, introspection } = setUp()
  http.hold()
  const waiting = ask(engine)
  engine.close()
  engine.close()
  http.release()
  assert.equal((await waiting).kind, 'allow')
  assert.equal(introspection.cache.size.positive, 0)
})

test('a flood of bad tokens leaves memory bounded and a good token stored', async () => {
  const { engine, http, introspection } = setUp()
  await ask(engine, 'good')
  http.answer({ json: { active: false } })
  for (let i = 0; i < 5000; i++) await ask(engine, `bad${i}`)
  assert.deepEqual({ ...introspection.cache.size, bytes: 0 }, { positive: 1, negative: 100, bytes: 0 })
  assert.ok(!(ask(engine, 'good') instanceof Promise))
})

test('the span of a traced request says where its answer came from', async () => {
  const { engine, http, clock } = setUp({ lifetimes: { staleS: 60 } })
  const traced = async (token: string): Promise<unknown> => {
    const { root } = new Trace(readTraceSettings(['all'], 1), clock.nowMs, performance.now())
    await inSpan(root, () => ask(engine, token))
    return root.attributes['sallyport.introspection.result']
  }
  assert.deepEqual(await Promise.all([traced('A'), traced('A'), traced('A')]), ['miss', 'coalesced', 'coalesced'])
  assert.equal(await traced('A'), 'hit')
  http.answer(DOWN)
  assert.equal(await traced('B'), 'failed')
  clock.nowMs += 31_000
  assert.equal(await traced('A'), 'stale')
})
