/**
 * The gateway's own error bodies, in the format that the request accepts. Kong has two makers with different defaults: errors of plugins and router are JSON
 * where the client says nothing; failures of the HTTP machinery (bad requests, upstream failures) follow the request's own content type, else plain text.
 */
import type { HeaderList } from '../http/headers.ts'

export interface ErrorBody {
  readonly contentType: string
  readonly body: string
}

type Format = 'json' | 'plain' | 'html' | 'xml'

const MESSAGES: Readonly<Record<number, string>> = {
  400: 'Bad request',
  401: 'Unauthorized',
  402: 'Payment required',
  403: 'Forbidden',
  404: 'Not found',
  405: 'Method not allowed',
  406: 'Not acceptable',
  407: 'Proxy authentication required',
  408: 'Request timeout',
  409: 'Conflict',
  410: 'Gone',
  411: 'Length required',
  412: 'Precondition failed',
  413: 'Payload too large',
  414: 'URI too long',
  415: 'Unsupported media type',
  416: 'Range not satisfiable',
  417: 'Expectation failed',
  418: "I'm a teapot",
  421: 'Misdirected request',
  422: 'Unprocessable entity',
  423: 'Locked',
  424: 'Failed dependency',
  425: 'Too early',
  426: 'Upgrade required',
  428: 'Precondition required',
  429: 'Too many requests',
  431: 'Request header fields too large',
  451: 'Unavailable for legal reasons',
  494: 'Request header or cookie too large',
  500: 'An unexpected error occurred',
  501: 'Not implemented',
  502: 'An invalid response was received from the upstream server',
  503: 'The upstream server is currently unavailable',
  504: 'The upstream server is timing out',
  505: 'HTTP version not supported',
}

/** The usual message of a status. */
export function messageOf(status: number): string {
  return MESSAGES[status] ?? `The upstream server responded with ${status}`
}

/** Error of a plugin or of the router: by `Accept`, else JSON. */
export function renderError(headers: HeaderList, status: number, message: string | undefined, requestId: string): ErrorBody {
  return render(formatByAccept(headers.get('accept')) ?? 'json', message ?? messageOf(status), requestId)
}

/** Failure of the HTTP machinery: by `Accept`, else by the request's own content type, else `fallback` (`error_default_type`). */
export function renderFailure(
  headers: HeaderList | null,
  status: number,
  message: string | undefined,
  requestId: string,
  fallback = 'text/plain',
): ErrorBody {
  const format =
    formatByAccept(headers?.get('accept')) ?? formatByType(headers?.get('content-type') ?? '') ?? formatByType(fallback) ?? 'plain'
  return render(format, message ?? messageOf(status), requestId)
}

function formatByAccept(accept: string | undefined): Format | undefined {
  if (accept === undefined || accept.trim() === '') return undefined
  let best: { readonly type: string; readonly quality: number } | undefined
  for (const item of accept.split(',')) {
    const [type = '', ...parameters] = item.split(';').map((part) => part.trim().toLowerCase())
    const given = parameters.find((parameter) => parameter.startsWith('q='))
    const quality = given === undefined ? 1 : Number(given.slice(2))
    if (type !== '' && quality > 0 && (best === undefined || quality > best.quality)) best = { type, quality }
  }
  return best === undefined ? undefined : (formatByType(best.type) ?? (best.type === 'text/*' ? 'plain' : 'json'))
}

function formatByType(type: string): Format | undefined {
  const essence = type.split(';', 1)[0]?.trim().toLowerCase()
  switch (essence) {
    case 'application/json':
      return 'json'
    case 'text/plain':
      return 'plain'
    case 'text/html':
      return 'html'
    case 'application/xml':
      return 'xml'
    default:
      return undefined
  }
}

function render(format: Format, message: string, requestId: string): ErrorBody {
  switch (format) {
    case 'json':
      return {
        contentType: 'application/json; charset=utf-8',
        body: `{\n  "message":${JSON.stringify(message)},\n  "request_id":"${requestId}"\n}`,
      }
    case 'plain':
      return { contentType: 'text/plain; charset=utf-8', body: `${message}\nrequest_id: ${requestId}\n` }
    case 'html':
      return { contentType: 'text/html; charset=utf-8', body: html(escapeMarkup(message), requestId) }
    case 'xml':
      return {
        contentType: 'application/xml; charset=utf-8',
        body: `<?xml version="1.0" encoding="UTF-8"?>\n<error>\n  <message>${escapeMarkup(message)}</message>\n  <requestid>${requestId}</requestid>\n</error>\n`,
      }
  }
}

function html(message: string, requestId: string): string {
  return [
    '<!doctype html>',
    '<html>',
    '  <head>',
    '    <meta charset="utf-8">',
    '    <title>Error</title>',
    '  </head>',
    '  <body>',
    '    <h1>Error</h1>',
    `    <p>${message}.</p>`,
    `    <p>request_id: ${requestId}</p>`,
    '  </body>',
    '</html>',
    '',
  ].join('\n')
}

function escapeMarkup(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
