import { headerName } from '../../entities/validators.ts'
import { pluginSchema } from '../../plugin/define.ts'
import type { Infer, Violations } from '../../schema/field.ts'
import { field } from '../../schema/field.ts'
import type { JsonObject } from '../../schema/validate.ts'

/** The configuration of request-termination: Kong's fields, rules and texts. */
export const schema = pluginSchema({
  name: 'request-termination',
  description:
    'Answers every request that it sees, or only those that carry a certain header or query argument, instead of passing them on: for maintenance, for ' +
    'closing a path, or for looking at what the gateway received.',
  scopes: ['service', 'route', 'consumer'],
  config: {
    status_code: field.integer({ required: true, default: 503, between: [100, 599], description: 'Status of the answer.' }),
    message: field.string({ description: 'Text of the `message` member of the JSON answer. Absent: a text that suits the status.' }),
    content_type: field.string({ description: 'Content-Type of `body`. Absent: the answer has no Content-Type.' }),
    body: field.string({ description: 'The whole body of the answer, as it stands; takes the place of `message`.' }),
    echo: field.boolean({
      required: true,
      default: false,
      description: 'Answers with what the gateway received: the request, the matched Route and Service. Credentials are left out.',
    }),
    trigger: field.string({
      validator: headerName,
      description: 'Name of a header or query argument: only requests that carry it are answered. Absent: all.',
    }),
  },
  checks: [{ kind: 'custom', fields: ['message', 'content_type', 'body', 'echo'], run: checkAnswer }],
})

/** A stored configuration. */
export type Config = Infer<typeof schema>

/** One kind of answer at a time: a message, a body, or an echo. */
function checkAnswer({ message, content_type, body, echo }: JsonObject): Violations | undefined {
  if (isPresent(message) && (isPresent(content_type) || isPresent(body))) return refuse('message cannot be used with content_type or body')
  if (isPresent(content_type) && !isPresent(body)) return refuse('content_type requires a body')
  if (echo === true && (isPresent(content_type) || isPresent(body))) return refuse('echo cannot be used with content_type and body')
  return undefined
}

function refuse(text: string): Violations {
  return { '@entity': [text] }
}

function isPresent(value: unknown): boolean {
  return typeof value === 'string' && value !== ''
}
