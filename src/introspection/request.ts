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

/** A request of this head without a body. */
export function bodiless(head: Pick<IntrospectedRequest, 'method' | 'rawPath' | 'query' | 'headers'>): IntrospectedRequest {
  return { ...head, hasBody: false, bodyLength: 0, readBody: async () => null, replaceBody() {} }
}

/** A copy of a request's head, for what is done beside it while it goes on and changes. */
export function headOf({ method, rawPath, query, headers }: IntrospectedRequest): IntrospectedRequest {
  return bodiless({ method, rawPath, query, headers: HeaderList.fromRaw(headers.toRaw()) })
}
