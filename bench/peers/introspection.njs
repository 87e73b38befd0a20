// What nginx runs for each request of the peer "nginx + njs": introspects the bearer token by a subrequest, which nginx caches under the token's digest.
import crypto from 'crypto'

const SCHEME = 'Bearer '

function tokenOf(r) {
  const given = r.headersIn.Authorization
  return given !== undefined && given.startsWith(SCHEME) ? given.slice(SCHEME.length) : ''
}

function digest(r) {
  return crypto.createHash('sha256').update(tokenOf(r)).digest('base64url')
}

function introspect(r) {
  const token = tokenOf(r)
  if (token === '') {
    r.return(401)
    return
  }
  r.subrequest('/_endpoint', { method: 'POST', body: `token=${encodeURIComponent(token)}` }, (answer) => {
    if (answer.status !== 200) {
      r.return(500)
      return
    }
    const claims = JSON.parse(answer.responseText)
    if (claims.active !== true || claims.exp <= Date.now() / 1000) {
      r.return(401)
      return
    }
    r.variables.scope = claims.scope
    r.variables.email = claims.email
    r.variables.username = claims.username
    r.return(204)
  })
}

export default { digest, introspect }
