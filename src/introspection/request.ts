import { HeaderList } from '../http/headers.ts'

/** What this folder needs to know of a request, and may change of it. The gateway's own request fits. */
export interface IntrospectedRequest {
  readonly method: string
  /** Target up to `?`, as received. */
  readonly rawPath: string
  /** From `?` on, or ''. */
  query: string
  /** What the client sent and the upstream will get. */
  readonly headers: HeaderList
  readonly hasBody: boolean
  /** Declared bytes; null when the client sends chunks. */
  readonly bodyLength: number | null
  /** The whole body if it has at most `limitBytes`, else null. Rejects when the client leaves. */
  readBody(limitBytes: number): Promise<Buffer | null>
  /** Puts `bytes` in place of the body; the length sent upstream follows. */
  replaceBody(bytes: Buffer): void
}

/** Whether a request is a gRPC call: its body is a stream of messages, and answers to it are told in trailers. */
export function isGrpc(request: Pick<IntrospectedRequest, 'headers'>): boolean {
  const type = request.headers.get('content-type')
  return type !== undefined && type.slice(0, GRPC.length).toLowerCase() === GRPC
}

const GRPC = 'application/grpc'

/** A copy of a request's head, for what is done beside it while it goes on and changes. Has no body. */
export function headOf(request: IntrospectedRequest): IntrospectedRequest {
  const { method, rawPath, query } = request
  const headers = HeaderList.fromRaw(request.headers.toRaw())
  return { method, rawPath, query, headers, hasBody: false, bodyLength: 0, readBody: async () => null, replaceBody() {} }
}
