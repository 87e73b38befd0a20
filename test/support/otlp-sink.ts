/** A collector of traces: takes OTLP over HTTP and decodes the protobuf of what it gets (opentelemetry/proto/collector/trace/v1). */
import { once } from 'node:events'
import { createServer } from 'node:http'
import { close, listen } from '../../demo/listening.ts'
import { Changes } from './changes.ts'

export type SinkValue = string | number | boolean | undefined

export type SinkSpan = {
  traceId: string
  id: string
  /** '' for the first span of a trace. */
  parentId: string
  name: string
  /** SpanKind of the protocol: 1 internal, 2 server, 3 client. */
  kind: number
  startNs: bigint
  endNs: bigint
  attributes: Record<string, SinkValue>
  events: { name: string; attributes: Record<string, SinkValue> }[]
  /** 0 unset, 2 error. */
  status: number
  resource: Record<string, SinkValue>
  scope: string
}

export type OtlpSink = AsyncDisposable & {
  readonly url: string
  readonly spans: readonly SinkSpan[]
  /** Bodies as they came. */
  readonly bodies: readonly Buffer[]
  readonly headers: readonly NodeJS.Dict<string | string[]>[]
  /** Spans of the trace that this request belongs to, once its `kong` span has come. */
  traceOf(requestId: string): Promise<readonly SinkSpan[]>
  /** Resolves when `count` posts have come. */
  received(count: number): Promise<void>
  /** Statuses of the next answers; 200 afterwards. */
  answer(...statuses: number[]): void
  stop(): Promise<void>
}

type Field = { number: number; bytes: Buffer; value: bigint }

/** The fields of one message, in order. */
function fieldsOf(message: Buffer): Field[] {
  const fields: Field[] = []
  let at = 0
  const varint = (): bigint => {
    let value = 0n
    for (let shift = 0n; ; shift += 7n) {
      const byte = message[at++]
      if (byte === undefined) throw new RangeError('the message ends within a number')
      value |= BigInt(byte & 127) << shift
      if (byte < 128) return value
    }
  }
  while (at < message.length) {
    const tag = varint()
    const [number, wire] = [Number(tag >> 3n), Number(tag & 7n)]
    if (wire === 0) fields.push({ number, bytes: EMPTY, value: varint() })
    else if (wire === 1) {
      fields.push({ number, bytes: message.subarray(at, at + 8), value: message.readBigUInt64LE(at) })
      at += 8
    } else if (wire === 2) {
      const length = Number(varint())
      if (at + length > message.length) throw new RangeError('the message is cut')
      fields.push({ number, bytes: message.subarray(at, at + length), value: 0n })
      at += length
    } else if (wire === 5) {
      fields.push({ number, bytes: message.subarray(at, at + 4), value: BigInt(message.readUInt32LE(at)) })
      at += 4
    } else throw new RangeError(`unknown wire type ${wire}`)
  }
  return fields
}

const EMPTY = Buffer.alloc(0)
const all = (fields: readonly Field[], number: number): Buffer[] =>
  fields.filter((field) => field.number === number).map(({ bytes }) => bytes)
const one = (fields: readonly Field[], number: number): Buffer => all(fields, number)[0] ?? EMPTY
const num = (fields: readonly Field[], number: number): bigint => fields.find((field) => field.number === number)?.value ?? 0n

function attributesOf(pairs: readonly Buffer[]): Record<string, SinkValue> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const fields = fieldsOf(pair)
      return [one(fields, 1).toString(), readValue(fieldsOf(one(fields, 2))[0])]
    }),
  )
}

function readValue(field: Field | undefined): SinkValue {
  if (field === undefined) return undefined
  if (field.number === 1) return field.bytes.toString()
  if (field.number === 2) return field.value === 1n
  if (field.number === 3) return Number(BigInt.asIntN(64, field.value))
  return field.number === 4 ? field.bytes.readDoubleLE() : undefined
}

/** The spans of an ExportTraceServiceRequest. */
export function decodeSpans(body: Buffer): SinkSpan[] {
  return all(fieldsOf(body), 1).flatMap((bytes) => {
    const ofResource = fieldsOf(bytes)
    const resource = attributesOf(all(fieldsOf(one(ofResource, 1)), 1))
    return all(ofResource, 2).flatMap((scoped) => {
      const ofScope = fieldsOf(scoped)
      const named = fieldsOf(one(ofScope, 1))
      const scope = `${one(named, 1)}@${one(named, 2)}`
      return all(ofScope, 2).map((span) => spanOf(fieldsOf(span), resource, scope))
    })
  })
}

function spanOf(fields: readonly Field[], resource: Record<string, SinkValue>, scope: string): SinkSpan {
  return {
    traceId: one(fields, 1).toString('hex'),
    id: one(fields, 2).toString('hex'),
    parentId: one(fields, 4).toString('hex'),
    name: one(fields, 5).toString(),
    kind: Number(num(fields, 6)),
    startNs: num(fields, 7),
    endNs: num(fields, 8),
    attributes: attributesOf(all(fields, 9)),
    events: all(fields, 11).map((bytes) => {
      const event = fieldsOf(bytes)
      return { name: one(event, 2).toString(), attributes: attributesOf(all(event, 3)) }
    }),
    status: Number(num(fieldsOf(one(fields, 15)), 3)),
    resource,
    scope,
  }
}

/** Starts a collector on a free port of the loopback address. */
export async function startOtlpSink(): Promise<OtlpSink> {
  const spans: SinkSpan[] = []
  const bodies: Buffer[] = []
  const headers: NodeJS.Dict<string | string[]>[] = []
  const posts = new Changes()
  let statuses: number[] = []
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    await once(request, 'end')
    const body = Buffer.concat(chunks)
    const status = statuses.shift() ?? 200
    if (status === 200) spans.push(...decodeSpans(body))
    bodies.push(body)
    headers.push(request.headers)
    response.writeHead(status, { 'content-type': 'application/x-protobuf' }).end()
    posts.announce()
  })
  const port = await listen(server)
  const stop = (): Promise<void> => close(server)
  return {
    url: `http://127.0.0.1:${port}/v1/traces`,
    spans,
    bodies,
    headers,
    async traceOf(requestId) {
      const root = await posts.until(
        () => spans.find(({ attributes }) => attributes['kong.request.id'] === requestId),
        (timeoutMs) => new Error(`no trace of request ${requestId} after ${timeoutMs} ms`),
      )
      return spans.filter(({ traceId }) => traceId === root.traceId)
    },
    async received(count) {
      await posts.until(
        () => bodies.length >= count || undefined,
        (timeoutMs) => new Error(`${bodies.length} posts instead of ${count} after ${timeoutMs} ms`),
      )
    },
    answer(...next) {
      statuses = next
    },
    stop,
    [Symbol.asyncDispose]: stop,
  }
}
