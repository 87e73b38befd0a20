/** Spans as OTLP over HTTP carries them. The library that writes the protobuf is loaded with the first span that is sent. */
import type { ProtobufTraceSerializer } from '@opentelemetry/otlp-transformer'
import type { HttpClient } from '../../oauth/http.ts'
import type { Span, SpanEvent, SpanKind } from '../../telemetry/trace.ts'

/** A span as the library takes it. */
type ReadableSpan = Parameters<typeof ProtobufTraceSerializer.serializeRequest>[0][number]
type Resource = ReadableSpan['resource']
type HrTime = ReadableSpan['startTime']

/** Instrumentation scope that Kong's spans bear. */
const SCOPE = { name: 'kong-internal', version: '0.1.0' }

/** SpanKind of the OpenTelemetry API. */
const KINDS: Readonly<Record<SpanKind, number>> = { internal: 0, server: 1, client: 2 }
const STATUS_UNSET = 0
const STATUS_ERROR = 2
const FLAG_SAMPLED = 1

/** Who sent the spans. */
export function createResource(attributes: Readonly<Record<string, string>>): Resource {
  const resource: Resource = {
    attributes: { ...attributes },
    merge: () => resource,
    getRawAttributes: () => Object.entries(attributes),
  }
  return resource
}

/** The bytes of an ExportTraceServiceRequest. */
export async function encodeSpans(spans: readonly Span[], resource: Resource): Promise<Uint8Array> {
  const { ProtobufTraceSerializer } = await import('@opentelemetry/otlp-transformer')
  const bytes = ProtobufTraceSerializer.serializeRequest(spans.map((span) => readable(span, resource)))
  if (bytes === undefined) throw new TypeError('spans could not be encoded')
  return bytes
}

function readable(span: Span, resource: Resource): ReadableSpan {
  const { trace, id: spanId, parentId, startMs, endMs } = span
  const context = { traceId: trace.id, spanId, traceFlags: FLAG_SAMPLED }
  const events = (span.events ?? []).map(readableEvent)
  return {
    name: span.name,
    kind: KINDS[span.kind],
    spanContext: () => context,
    ...(parentId === null
      ? {}
      : { parentSpanContext: { traceId: trace.id, spanId: parentId, traceFlags: FLAG_SAMPLED, isRemote: span === trace.root } }),
    startTime: timeOf(startMs),
    endTime: timeOf(endMs),
    duration: timeOf(endMs - startMs),
    ended: true,
    status: span.error === null ? { code: STATUS_UNSET } : { code: STATUS_ERROR, message: span.error },
    attributes: span.attributes,
    links: [],
    events,
    resource,
    instrumentationScope: SCOPE,
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  }
}

function readableEvent({ name, atMs, attributes }: SpanEvent): ReadableSpan['events'][number] {
  return { name, time: timeOf(atMs), attributes }
}

/** Whole seconds and the nanoseconds beyond them. */
function timeOf(ms: number): HrTime {
  const seconds = Math.floor(ms / 1000)
  return [seconds, Math.round((ms - seconds * 1000) * 1e6)]
}

/** Estimate of a span's weight on the wire, in bytes. */
export function weighSpan({ name, attributes }: Span): number {
  let bytes = 100 + name.length
  for (const [key, value] of Object.entries(attributes)) bytes += key.length + 8 + (typeof value === 'string' ? value.length : 8)
  return bytes
}

/** Posts a batch. @throws where the collector does not answer 200 */
export async function postSpans(
  http: HttpClient,
  url: string,
  headers: readonly (readonly [string, string])[],
  bytes: Uint8Array,
): Promise<void> {
  const response = await http({ method: 'POST', url, headers: [...headers, ['Content-Type', 'application/x-protobuf']], bytes })
  if (response.status !== 200) throw new Error(`the collector answered ${response.status}`)
}
