import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Case, generate, judge, readCorpus } from './h1.ts'
import { compareRequests } from './h1-oracle.ts'

/** Chosen so that the run takes about five seconds; `node test/fuzz/h1.ts --seconds …` runs longer. */
const CONNECTIONS = 20_000

function pieces(bytes: string, size: number): Buffer[] {
  const whole = Buffer.from(bytes, 'latin1')
  return Array.from({ length: Math.ceil(whole.length / size) }, (_, i) => whole.subarray(i * size, (i + 1) * size))
}

/** Our reading alone is asked for elsewhere; here it is never more lenient than llhttp's, and never another. */
async function assertSafe(one: Case, arrived: readonly Buffer[], where: string): Promise<void> {
  const { difference } = await judge(one, arrived)
  assert.equal(difference, undefined, `${where}: ${JSON.stringify(one)}`)
}

test('what llhttp refuses we refuse, and what we accept it reads alike: the connections of the corpus, whole and byte by byte', async () => {
  const corpus = readCorpus()
  assert.ok(corpus.length > 100)
  for (const one of corpus) for (const size of [1, 7, 65_536]) await assertSafe(one, pieces(one.bytes, size), `in pieces of ${size}`)
})

test(`the same for ${CONNECTIONS} generated connections`, async () => {
  for (let number = 0; number < CONNECTIONS; number++) {
    const { one, pieces: arrived } = generate(7, number)
    await assertSafe(one, arrived, `number ${number}`)
  }
})

test('the comparison tells readers apart: a front that accepted a refused connection would be found', async () => {
  const accepted = await judge({ kind: 'request', method: '' }, [Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n')])
  assert.deepEqual(accepted, { difference: undefined, signature: 'request whole, end / whole, end' })
  const refused = await judge({ kind: 'request', method: '' }, [Buffer.from('GET / HTTP/1.1\r\nHost : a\r\n\r\n')])
  assert.match(refused.signature, /^request no head, bad-request \/ no head, HPE_INVALID_HEADER_TOKEN$/)
  const seen = { startLine: 'GET / HTTP/1.1', fields: ['Host', 'a'], body: 'b', complete: true }
  const reading = (...messages: (typeof seen)[]) => ({ messages, outcome: 'end' })
  assert.equal(compareRequests(reading(seen), reading(seen)), undefined)
  assert.match(compareRequests(reading(seen), reading()) ?? '', /accepted/)
  assert.match(compareRequests(reading(seen), reading({ ...seen, body: '' })) ?? '', /body/)
  assert.match(compareRequests(reading(seen), reading({ ...seen, complete: false })) ?? '', /complete/)
  assert.match(compareRequests(reading(seen), reading({ ...seen, fields: ['Host', 'b'] })) ?? '', /fields/)
  assert.match(compareRequests(reading(seen), reading({ ...seen, startLine: 'GET /b HTTP/1.1' })) ?? '', /start line/)
})
