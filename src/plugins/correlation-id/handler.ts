import { randomUUID } from 'node:crypto'
import type { RequestContext } from '../../plugin/context.ts'
import { definePlugin } from '../../plugin/define.ts'
import type { PluginKit } from '../../plugin/kit.ts'
import { fromByteString } from '../../util/bytes.ts'
import { type Config, schema } from './schema.ts'

/** Characters of the longest id that is taken from a client: it goes into every log. */
const MAX_LENGTH = 256
const LOG_MEMBER = 'correlation_id'

type Generator = (context: RequestContext) => string

/** A configuration at work. */
interface State {
  readonly header: string
  readonly lowerHeader: string
  readonly generate: Generator
  readonly echo: boolean
  /** Ids of requests whose answer has not gone out. */
  readonly ids: WeakMap<RequestContext, string>
}

/** Gives each request an id of its own, unless the client did. */
export default definePlugin({
  schema,
  version: '1.0.0',
  priority: 100_001,
  configure,
  access(context, state) {
    idOf(context, state)
  },
  headerFilter(context, state) {
    // Where an earlier plugin answered, this one's access did not run.
    if (state.echo) context.response.headers.set(state.header, idOf(context, state))
  },
})

function configure({ header_name, generator, echo_downstream }: Config, kit: PluginKit): State {
  const header = header_name ?? 'Kong-Request-ID'
  return { header, lowerHeader: header.toLowerCase(), generate: GENERATORS[generator](kit), echo: echo_downstream, ids: new WeakMap() }
}

/** The id of a request: as known, as the client sent it, or a new one, which the upstream gets. */
function idOf(context: RequestContext, { header, lowerHeader, generate, ids }: State): string {
  const known = ids.get(context)
  if (known !== undefined) return known
  const sent = context.request.headers.get(lowerHeader)?.trim() ?? ''
  const kept = sent !== '' && sent.length <= MAX_LENGTH
  const id = kept ? sent : generate(context)
  if (!kept) context.request.headers.set(header, id)
  context.logValues.set(LOG_MEMBER, fromByteString(id))
  ids.set(context, id)
  return id
}

const GENERATORS: Readonly<Record<Config['generator'], (kit: PluginKit) => Generator>> = {
  uuid: () => () => randomUUID(),
  'uuid#counter': (kit) => {
    const worker = kit.shared('correlation-id counter', () => ({ uuid: randomUUID(), count: 0 }))
    return () => `${worker.uuid}#${++worker.count}`
  },
  tracker:
    ({ now }) =>
    ({ request }) => {
      const { address, port } = request.localEndpoint
      const { serial = 0, requests = 0 } = request.connection ?? {}
      return `${address}-${port}-${process.pid}-${serial}-${requests}-${(now() / 1000).toFixed(3)}`
    },
}
