/** gRPC calls are refused in their own terms (https://grpc.io/docs/guides/status-codes/): HTTP status 200 without a body, the outcome in header lines. */
import type { IntrospectedRequest } from './request.ts'

/** Whether a request is a gRPC call: its body is a stream of messages, and answers to it are told in trailers. */
export function isGrpc(request: Pick<IntrospectedRequest, 'headers'>): boolean {
  const type = request.headers.get('content-type')
  return type !== undefined && type.slice(0, MEDIA_TYPE.length).toLowerCase() === MEDIA_TYPE
}

/** Header lines of an answer that is trailers only. @param status the HTTP status that any other request would get */
export function grpcOutcome(status: number, message: string): readonly (readonly [string, string])[] {
  return [
    ['Content-Type', MEDIA_TYPE],
    ['grpc-status', String(STATUS_CODES[status] ?? UNKNOWN)],
    ['grpc-message', encodeURIComponent(message).replaceAll('%20', ' ')],
  ]
}

const MEDIA_TYPE = 'application/grpc'
/** UNAUTHENTICATED, PERMISSION_DENIED, INTERNAL, UNAVAILABLE. */
const STATUS_CODES: Readonly<Record<number, number>> = { 401: 16, 403: 7, 500: 13, 503: 14 }
const UNKNOWN = 2
