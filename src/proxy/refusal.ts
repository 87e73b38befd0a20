import type { ReceivedRequest } from '../http/exchange.ts'
import { HeaderList } from '../http/headers.ts'
import type { ConnectionHost } from './client-connection.ts'
import { renderFailure } from './error-responses.ts'
import { newRequestId } from './request-id.ts'

/** Who sent bytes that were no request, or none for us. */
export type RefusedClient = Pick<ReceivedRequest, 'version' | 'peer' | 'local' | 'tls' | 'proxied'>

/** What became of such bytes. */
export interface BadRequest {
  readonly client: RefusedClient
  readonly status: number
  readonly requestId: string
  /** Bytes of the answer's body. */
  readonly bytes: number
}

/** A complete answer to bytes that were no request, told to the log. Nothing of them is in it. @param head of a request, for the format of the answer */
export function bareRefusal(
  { options, date }: ConnectionHost,
  client: RefusedClient,
  status: number,
  message: string | undefined,
  head: HeaderList | null = null,
): { readonly headers: HeaderList; readonly body: Buffer } {
  const { shown, product, errorDefaultType, onBadRequest } = options
  const requestId = newRequestId()
  const { contentType, body: text } = renderFailure(head, status, message, requestId, errorDefaultType)
  const headers = HeaderList.fromRaw(['Content-Type', contentType, 'Connection', 'close', 'Date', date])
  if (shown.server) headers.add('Server', product)
  if (shown.responseLatency) headers.add('X-Kong-Response-Latency', '0')
  if (shown.requestId) headers.add('X-Kong-Request-Id', requestId)
  const body = Buffer.from(text)
  onBadRequest({ client, status, requestId, bytes: body.length })
  return { headers, body }
}
