import { redactTarget } from '../http/query.ts'
import type { RequestContext } from '../plugin/context.ts'
import { accessLine } from '../telemetry/access-line.ts'
import type { LineWriter } from '../telemetry/line-writer.ts'

/** An observer that writes one line per finished request. */
export function createAccessLog(writer: LineWriter): (context: RequestContext) => void {
  if (!writer.isOpen) return () => {}
  return ({ request, record, id, startedAtMs }) => {
    writer.write(
      accessLine({
        address: request.clientAddress,
        startedAtMs,
        method: request.method,
        target: redactTarget(request.target),
        version: request.version === '2' ? '2.0' : request.version,
        status: record.status,
        bytes: record.bytesSent,
        referer: redactTarget(request.headers.get('referer') ?? '-'),
        agent: request.headers.get('user-agent') ?? '-',
        requestId: id,
      }),
    )
  }
}
