import { headerName } from '../../entities/validators.ts'
import { pluginSchema } from '../../plugin/define.ts'
import type { Infer } from '../../schema/field.ts'
import { field } from '../../schema/field.ts'

/** Names that frame a message, say whom it is for, or belong to one hop: an id there would break the request. */
const RESERVED =
  /^(?:host|content-length|content-type|transfer-encoding|connection|upgrade|keep-alive|te|trailer|expect|authorization|cookie)$/i

/** The configuration of correlation-id: Kong's fields and defaults. */
export const schema = pluginSchema({
  name: 'correlation-id',
  description:
    'Gives each request an id that the upstream, and if wanted the client, sees in a header, and log entries as `correlation_id`. An id that the client sends is ' +
    'kept if it has at most 256 characters.',
  scopes: ['service', 'route', 'consumer'],
  config: {
    header_name: field.string({
      default: 'Kong-Request-ID',
      validator: (name) => headerName(name) ?? (RESERVED.test(name) ? 'this header has another meaning' : undefined),
      description: 'Header that carries the id.',
    }),
    generator: field.string({
      required: true,
      default: 'uuid#counter',
      oneOf: ['uuid', 'uuid#counter', 'tracker'],
      description:
        'How an id is made: `uuid#counter` is a UUID of the worker and a number that grows, `uuid` a UUID for each request, `tracker` address, port, process, ' +
        'connection, request on it and time.',
    }),
    echo_downstream: field.boolean({ required: true, default: false, description: 'Whether the answer bears the id too.' }),
  },
})

/** A stored configuration. */
export type Config = Infer<typeof schema>
