import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { close, listen } from '../../demo/listening.ts'
import { Counter } from './changes.ts'

/** Requests remembered at most; the oldest is dropped first. */
const MAX_RECORDED_REQUESTS = 100_000

export type StubRequest = {
  method: string
  /** The request target as received. */
  path: string
  /** In order and spelling of the wire. */
  rawHeaders: [name: string, value: string][]
  /** Names in lower case. */
  headers: IncomingMessage['headers']
  body: string
  /** The body as a form. */
  form: URLSearchParams
}

/** An object as body becomes JSON; `never` leaves the client waiting, `reset` cuts the connection. */
export type StubAnswer =
  | { status?: number; headers?: Record<string, string | string[]>; body?: string | Uint8Array | object }
  | 'never'
  | 'reset'

/** `index` counts the requests since the start or `reset()`, from 0. */
export type AnswerFunction = (request: StubRequest, index: number) => StubAnswer | Promise<StubAnswer>

export type StubIntrospection = AsyncDisposable & {
  readonly port: number
  readonly origin: string
  /** The introspection endpoint; the stub answers every path alike. */
  readonly url: string
  /** Requests received completely since the start or `reset()`. */
  readonly calls: number
  /** The latest requests, oldest first. */
  readonly requests: readonly StubRequest[]
  /** Exchanges whose client left before it was answered. */
  readonly abandoned: number
  /** Takes the place of the answer function from the next request on. */
  answer(answer: AnswerFunction | StubAnswer): void
  /** Resolves when `count` requests have been received since the start or `reset()`. */
  received(count: number): Promise<void>
  /** Keeps answers back until `release()`; requests are received and counted meanwhile. */
  hold(): void
  release(): void
  /** Forgets requests and counters. */
  reset(): void
  /** Connections are refused and open ones cut until `resume()`, which listens on the same port again. */
  pause(): Promise<void>
  resume(): Promise<void>
  stop(): Promise<void>
}

function send(response: ServerResponse, { status = 200, headers = {}, body = '' }: Exclude<StubAnswer, string>): void {
  const asIs = typeof body === 'string' || body instanceof Uint8Array
  const bytes = Buffer.from(asIs ? body : JSON.stringify(body))
  const names = Object.keys(headers).map((name) => name.toLowerCase())
  if (!asIs && !names.includes('content-type')) response.setHeader('content-type', 'application/json')
  if (!names.includes('content-length') && !names.includes('transfer-encoding')) response.setHeader('content-length', bytes.length)
  response.writeHead(status, headers).end(bytes)
}

async function read(request: IncomingMessage): Promise<StubRequest> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  const body = Buffer.concat(chunks).toString()
  const { method = '', url = '', rawHeaders, headers } = request
  const pairs = Array.from({ length: rawHeaders.length / 2 }, (_, index): [string, string] => [
    rawHeaders[index * 2] ?? '',
    rawHeaders[index * 2 + 1] ?? '',
  ])
  return { method, path: url, rawHeaders: pairs, headers, body, form: new URLSearchParams(body) }
}

/** Starts an introspection endpoint that answers what the test says, by default `{"active": false}`. */
export async function startStubIntrospection(
  initial: AnswerFunction | StubAnswer = { body: { active: false } },
): Promise<StubIntrospection> {
  const requests: StubRequest[] = []
  const counter = new Counter()
  const exchanges = new Set<Promise<void>>()
  let current = initial
  let abandoned = 0
  let gate: PromiseWithResolvers<void> | undefined

  async function serve(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const over = once(response, 'close').then(() => {
      if (!response.writableEnded) abandoned++
      exchanges.delete(over)
    })
    exchanges.add(over)
    const request = await read(message)
    const answer = current
    const index = counter.count
    requests.push(request)
    if (requests.length > MAX_RECORDED_REQUESTS) requests.shift()
    counter.increment()
    await gate?.promise
    const chosen = typeof answer === 'function' ? await answer(request, index) : answer
    if (chosen === 'never' || response.destroyed) return
    if (chosen === 'reset') return void message.socket.resetAndDestroy()
    send(response, chosen)
  }

  const server = createServer({ keepAliveTimeout: 65_000 }, (request, response) => {
    serve(request, response).catch(() => response.destroy())
  })
  const port = await listen(server)

  async function pause(): Promise<void> {
    await close(server)
    // The server says that it is closed before its responses say that they are cut off.
    await Promise.all(exchanges)
  }

  function release(): void {
    gate?.resolve()
    gate = undefined
  }

  async function stop(): Promise<void> {
    await pause()
    release()
  }

  return {
    port,
    origin: `http://127.0.0.1:${port}`,
    url: `http://127.0.0.1:${port}/introspect`,
    get calls() {
      return counter.count
    },
    requests,
    get abandoned() {
      return abandoned
    },
    answer(answer) {
      current = answer
    },
    received: (count) => counter.reached(count),
    hold() {
      gate ??= Promise.withResolvers()
    },
    release,
    reset() {
      requests.length = 0
      abandoned = 0
      counter.reset()
    },
    pause,
    async resume() {
      await listen(server, port)
    },
    stop,
    [Symbol.asyncDispose]: stop,
  }
}
