/** Apache with mod_oauth2, one process of the event MPM. */
import { existsSync } from 'node:fs'
import { unusedPort } from '../../test/support/ports.ts'
import { isInstalled } from '../processes.ts'
import type { Server } from './server.ts'
import { startServer } from './server.ts'

const MODULES = '/usr/lib/apache2/modules'
const NEEDED = ['mpm_event', 'authn_core', 'authz_core', 'authz_user', 'proxy', 'proxy_http', 'oauth2']
const THREADS = 64

/** Whether Apache and its module for OAuth 2.0 are there. */
export function hasApacheOauth2(): boolean {
  return isInstalled('apache2') && existsSync(`${MODULES}/mod_oauth2.so`)
}

/** Introspects, keeps answers in shared memory, passes the claims on as header fields. It knows no consumers. */
export async function startApacheOauth2(backend: Server): Promise<Server> {
  const port = await unusedPort()
  const origin = `http://127.0.0.1:${backend.port}`
  return await startServer({
    name: 'apache',
    part: 'measured',
    port,
    configuration: (folder) => `
ServerRoot ${folder}
DefaultRuntimeDir ${folder}
PidFile ${folder}/pid
Listen 127.0.0.1:${port}
ServerName 127.0.0.1
ErrorLog ${folder}/error.log
LogLevel error
${NEEDED.map((name) => `LoadModule ${name}_module ${MODULES}/mod_${name}.so`).join('\n')}
${process.getuid?.() === 0 ? 'User www-data\nGroup www-data' : ''}
StartServers 1
ServerLimit 1
ThreadLimit ${THREADS}
ThreadsPerChild ${THREADS}
MaxRequestWorkers ${THREADS}
MinSpareThreads 1
MaxSpareThreads ${THREADS}
MaxKeepAliveRequests 0
KeepAliveTimeout 75
OAuth2Cache shm max_entries=10000
<Location "/">
  AuthType oauth2
  OAuth2TokenVerify introspect ${origin}/introspect introspect.auth=client_secret_basic&client_id=gateway&client_secret=secret&expiry=600
  OAuth2TargetPass prefix=X-Credential-&remote_user_claim=username
  Require valid-user
  ProxyPass ${origin}/ enablereuse=on keepalive=On max=${THREADS}
</Location>
`,
    command: (_folder, file) => ['apache2', '-f', file, '-DFOREGROUND'],
  })
}
