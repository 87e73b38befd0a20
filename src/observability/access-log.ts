import { redactTarget } from '../http/query.ts'
import type { Finished } from '../proxy/runtime.ts'
import { accessLine } from '../telemetry/access-line.ts'
import type { LineWriter } from '../telemetry/line-writer.ts'

/** An observer that writes one line per finished request. */
export function createAccessLog(writer: LineWriter): (finished: Finished) => void {
  if (!writer.isOpen) return () => {}
  return ({ context, status, bytesSent }) => {
    const { request, id } = context
    writer.write(
      accessLine({
        address: request.clientAddress,
        startedAtMs: context.startedAtMs,
        method: request.method,
        target: redactTarget(request.target),
        version: request.version,
        status,
        bytes: bytesSent,
        referer: redactTarget(request.headers.get('referer') ?? '-'),
        agent: request.headers.get('user-agent') ?? '-',
        requestId: id,
      }),
    )
  }
}
