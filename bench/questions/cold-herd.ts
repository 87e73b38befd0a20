import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createConnection, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { type StubIntrospection, startStubIntrospection } from '../../test/support/stub-introspection.ts'
import { measure } from '../measure.ts'
import type { Question } from '../question.ts'
import { type Stage, startStage } from '../stage.ts'
import { summarise } from '../summary.ts'

const WAITERS = 1000
const STATUS_LINE = 'HTTP/1.1 200 OK'
/** Time in which all requests have surely reached the gateway. */
const GATHERING_MS = 500

export const question: Question = {
  asks: `How long after the answer of the authorization server has the last of ${WAITERS} requests with one new token its own?`,
  unit: 'ms to the last answer',
  async run({ rounds, warmUpSeconds }) {
    const claims = { active: true, username: 'john', client_id: 'app', scope: 'read write', exp: 4_102_444_800, email: 'john@example.com' }
    await using stub = await startStubIntrospection({ body: claims })
    await using stage = await startStage({ introspectionUrl: stub.url })
    // It is the token that is new, not the worker; and the first herd opens the connections to the upstream. Where there is no time to warm up, that is the figure.
    if (warmUpSeconds > 0) {
      for (const newTokens of [false, true]) await measure({ ...stage.subject('warm-up', 'orders'), newTokens }, warmUpSeconds)
      await release(stage, stub)
    }
    const spans: number[] = []
    for (let round = 0; round < rounds; round++) spans.push(await release(stage, stub))
    const value = summarise(spans)
    return {
      rows: [{ subject: `${WAITERS} waiters on one token`, figure: value }],
      goals: [{ of: 'ms to the last answer', value, sense: 'at most', bound: 50 }],
      notes: [
        'The worker has served other requests before. The clients, which are one process with the authorization server, take part of the time. All connections are open before, and a herd that made more than one introspection call would be an error.',
      ],
    }
  },
}

/** One herd. @returns milliseconds from the answer of the authorization server to the last answer of the gateway */
async function release(stage: Stage, stub: StubIntrospection): Promise<number> {
  stub.reset()
  stub.hold()
  const herd = new Herd(stage.gateway.proxyPort)
  try {
    await herd.connected()
    herd.send(`GET /orders HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer ${randomBytes(32).toString('base64url')}\r\n\r\n`)
    await stub.received(1)
    await delay(GATHERING_MS)
    const startMs = performance.now()
    stub.release()
    const endMs = await herd.answered
    if (stub.calls !== 1) throw new Error(`${stub.calls} introspection calls for one token`)
    return endMs - startMs
  } finally {
    stub.release()
    herd.destroy()
  }
}

/** The clients. They share a core with the upstream and the authorization server, so they do as little as can be for an answer. */
class Herd {
  readonly #sockets: readonly Socket[]
  /** When the last answer began to arrive, by `performance.now()`. Rejects when one is no success. */
  readonly answered: Promise<number>

  constructor(port: number) {
    const { promise, resolve, reject } = Promise.withResolvers<number>()
    this.answered = promise
    let waiting = WAITERS
    const buffer = Buffer.alloc(4096)
    const callback = (): boolean => {
      const line = buffer.toString('latin1', 0, STATUS_LINE.length)
      if (line !== STATUS_LINE) reject(new Error(`answered: ${line}`))
      else if (--waiting === 0) resolve(performance.now())
      return true
    }
    this.#sockets = Array.from({ length: WAITERS }, () =>
      createConnection({ port, host: '127.0.0.1', noDelay: true, onread: { buffer, callback } }).on('error', reject),
    )
  }

  async connected(): Promise<void> {
    await Promise.all(this.#sockets.map((socket) => once(socket, 'connect')))
  }

  send(request: string): void {
    for (const socket of this.#sockets) socket.write(request)
  }

  destroy(): void {
    for (const socket of this.#sockets) socket.destroy()
  }
}
