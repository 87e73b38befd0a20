import assert from 'node:assert/strict'
import { test } from 'node:test'
import { expectedSeen } from './tokens.ts'
import { type Answer, Disturbances, type Expectation, judge, type Outcome } from './verdict.ts'

const seen = expectedSeen('7', 'consumer-1')
const body = Buffer.from('its own')
const allowed: Expectation = { decision: 'allow', known: false, seen, body }
const denied: Expectation = { ...allowed, decision: 'deny' }

const answered = (status: number, changes: Partial<Answer> = {}): Outcome => ({
  fromMs: performance.now() - 5,
  untilMs: performance.now() + 500,
  answer: { status, headers: { 'x-soak-seen': JSON.stringify(seen), 'www-authenticate': 'Bearer' }, body, ...changes },
})
const broken = (headSeen: boolean, timedOut = false): Outcome => ({
  fromMs: performance.now() - 5,
  untilMs: performance.now() + 500,
  broken: { code: 'ECONNRESET', timedOut, headSeen },
})

function disturbedBy(...kinds: Parameters<Disturbances['begin']>[0][]): Disturbances {
  const disturbances = new Disturbances()
  for (const kind of kinds) disturbances.begin(kind)
  return disturbances
}

const everything = disturbedBy('upstream', 'identity-provider', 'worker', 'reload')
const kindOf = (expectation: Expectation, outcome: Outcome, disturbances = disturbedBy()): string =>
  judge(expectation, outcome, disturbances).kind

test('an answer is right when request, identity and body are its own', () => {
  assert.equal(kindOf(allowed, answered(200)), 'right')
  assert.equal(kindOf(denied, answered(401)), 'right')
})

test("nothing that is disturbed excuses another's identity or body, a wrong decision, or silence", () => {
  const other = { headers: { 'x-soak-seen': JSON.stringify(expectedSeen('7', 'consumer-2')) } }
  assert.equal(kindOf(allowed, answered(200, other), everything), 'wrong')
  assert.equal(kindOf(allowed, answered(200, { body: Buffer.from('its ow') }), everything), 'wrong')
  assert.equal(kindOf(denied, answered(200), everything), 'wrong')
  assert.equal(kindOf(allowed, answered(401), everything), 'wrong')
  assert.equal(kindOf(allowed, broken(false, true), everything), 'wrong')
})

test('a failure is excused by what was disturbed at the time, and by nothing else', () => {
  assert.equal(kindOf(allowed, answered(502)), 'wrong')
  assert.equal(kindOf(allowed, answered(502), disturbedBy('upstream')), 'excused')
  assert.equal(kindOf(denied, answered(502), disturbedBy('upstream')), 'wrong')
  assert.equal(kindOf(allowed, answered(503), disturbedBy('identity-provider')), 'excused')
  assert.equal(kindOf({ ...allowed, known: true }, answered(503), disturbedBy('identity-provider')), 'wrong')
  assert.equal(kindOf(allowed, broken(true), disturbedBy('reload')), 'wrong')
  assert.equal(kindOf(allowed, broken(false), disturbedBy('reload')), 'excused')
  assert.equal(kindOf(allowed, broken(true), disturbedBy('worker')), 'excused')
})

test('what was disturbed before a request, or after it, excuses nothing', async () => {
  const disturbances = new Disturbances()
  disturbances.begin('upstream')(-1000)
  assert.equal(kindOf(allowed, answered(502), disturbances), 'wrong')
})
