/** An introspection endpoint as a program: `node identity-provider.ts <port>`. */
import { createServer } from 'node:http'
import { announce } from './endpoint.ts'
import { introspectionOf } from './tokens.ts'

const server = createServer({ keepAliveTimeout: 65_000 }, (request, response) => {
  let form = ''
  request.setEncoding('utf8').on('data', (text: string) => {
    form += text
  })
  request.once('end', () => {
    const token = new URLSearchParams(form).get('token') ?? ''
    const answer = JSON.stringify(introspectionOf(token, Date.now() / 1000))
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(answer) }).end(answer)
  })
})
announce(server)
