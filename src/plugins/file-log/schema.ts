import { customFieldsField } from '../../plugin/custom-fields.ts'
import { pluginSchema } from '../../plugin/define.ts'
import type { Infer } from '../../schema/field.ts'
import { field } from '../../schema/field.ts'

/** The configuration of file-log: Kong's fields, rules and texts. */
export const schema = pluginSchema({
  name: 'file-log',
  description:
    'Appends an entry about each request to a file, one line of JSON each, behind the back of the request. Tokens, keys and cookies are left out of entries; ' +
    'see [Logs](../observability.md#logs) for what stands in one.',
  scopes: ['service', 'route', 'consumer'],
  protocols: ['grpc', 'grpcs', 'http', 'https', 'tcp', 'tls', 'tls_passthrough', 'udp', 'ws', 'wss'],
  config: {
    path: field.string({
      required: true,
      match: /^[^*&%\\`\0]+$/,
      err: 'not a valid filename',
      description:
        'The file. It is made where there is none (mode 0640); its folder has to be there. `/dev/stdout` and `/dev/stderr` are the gateway’s own.',
    }),
    reopen: field.boolean({
      required: true,
      default: false,
      description:
        'Opens the file anew for each write, so that entries follow a file that was rotated away. Otherwise a reload of the gateway does that.',
    }),
    custom_fields_by_lua: customFieldsField(),
  },
})

/** A stored configuration. */
export type Config = Infer<typeof schema>
