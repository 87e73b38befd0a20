import { HeaderList } from '../http/headers.ts'
import type { ConnectionHost } from './client-connection.ts'
import { renderFailure } from './error-responses.ts'
import { newRequestId } from './request-id.ts'

/** A complete answer to bytes that were no request, told to the log. Nothing of them is in it. @param head of a request, for the format of the answer */
export function bareRefusal(
  { options, date }: ConnectionHost,
  status: number,
  message: string | undefined,
  peer: string,
  head: HeaderList | null = null,
): { readonly headers: HeaderList; readonly body: Buffer } {
  const { shown, product, errorDefaultType, onBadRequest } = options
  const id = newRequestId()
  const { contentType, body } = renderFailure(head, status, message, id, errorDefaultType)
  onBadRequest(status, peer, id)
  const headers = HeaderList.fromRaw(['Content-Type', contentType, 'Connection', 'close', 'Date', date])
  if (shown.server) headers.add('Server', product)
  if (shown.responseLatency) headers.add('X-Kong-Response-Latency', '0')
  if (shown.requestId) headers.add('X-Kong-Request-Id', id)
  return { headers, body: Buffer.from(body) }
}
