/** nginx with one worker: as the backend of every subject, as the peer that only proxies, and as the one that introspects by njs. */
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { unusedPort } from '../../test/support/ports.ts'
import { SELF_SIGNED_CERTIFICATE, SELF_SIGNED_KEY } from '../../test/support/self-signed.ts'
import type { Program, Server } from './server.ts'
import { startServer } from './server.ts'

const NJS_MODULE = '/usr/lib/nginx/modules/ngx_http_js_module.so'
const NJS_SCRIPT = join(import.meta.dirname, 'introspection.njs')

/** What the introspection endpoint says about every token. */
const CLAIMS =
  '{"active":true,"username":"john","client_id":"app","scope":"read write","sub":"u1","exp":4102444800,"email":"john@example.com"}'

/** Header fields of a request as the backend received them, by the names that the claims of a token are passed on under. */
const ECHO = '{"scope":"$http_x_credential_scope","email":"$http_x_credential_email","username":"$http_x_consumer_username"}'

const PROXY = `proxy_http_version 1.1; proxy_set_header Connection "";`

/** Upstream and introspection endpoint in one: answers at once, `…/echo` with what it received, `/introspect` that the token is good. */
export async function startBackend(): Promise<Server> {
  return await startNginx('load', (port) => ({
    http: `
      server {
        listen 127.0.0.1:${port} backlog=4096;
        default_type application/json;
        location / { return 200 '{"ok":true,"items":[1,2,3]}'; }
        location ~ /echo$ { return 200 '${ECHO}'; }
        location = /introspect { return 200 '${CLAIMS}'; }
      }`,
  }))
}

/** `proxy_pass` over kept connections and nothing else: the floor. */
export async function startNginxProxy(backend: Server): Promise<Server> {
  return await startNginx('measured', (port) => ({
    http: `${keptUpstream(backend)} server { listen 127.0.0.1:${port}; location / { proxy_pass http://backend; ${PROXY} } }`,
  }))
}

/** The same behind TLS. */
export async function startNginxTlsProxy(backend: Server): Promise<Server> {
  return await startNginx('measured', (port, folder) => {
    writeFileSync(join(folder, 'certificate.pem'), SELF_SIGNED_CERTIFICATE)
    writeFileSync(join(folder, 'key.pem'), SELF_SIGNED_KEY)
    return {
      http: `
        ${keptUpstream(backend)}
        server {
          listen 127.0.0.1:${port} ssl;
          ssl_certificate ${folder}/certificate.pem;
          ssl_certificate_key ${folder}/key.pem;
          ssl_protocols TLSv1.2 TLSv1.3;
          location / { proxy_pass http://backend; ${PROXY} }
        }`,
    }
  })
}

/** Whether nginx has its JavaScript module. */
export function hasNjs(): boolean {
  return existsSync(NJS_MODULE)
}

/**
 * Introspection by a script, which looks at the answer for every request: `exp` is checked and claims become header fields. Answers are kept in nginx's own
 * cache under a digest of the token, for njs has a dictionary of its own only from 0.8 on and Debian 12 brings 0.7.
 */
export async function startNginxNjs(backend: Server): Promise<Server> {
  return await startNginx('measured', (port, folder) => ({
    modules: `load_module ${NJS_MODULE};`,
    http: `
      ${keptUpstream(backend)}
      js_import introspection from ${NJS_SCRIPT};
      js_set $token_digest introspection.digest;
      js_var $scope; js_var $email; js_var $username;
      map $username $consumer { default ''; john c1; }
      proxy_cache_path ${folder}/answers keys_zone=answers:16m;
      open_file_cache max=10000;
      ${PROXY}
      server {
        listen 127.0.0.1:${port};
        location / {
          auth_request /_introspect;
          proxy_pass http://backend;
          proxy_set_header Connection "";
          proxy_set_header Authorization "";
          proxy_set_header X-Consumer-Username $username;
          proxy_set_header X-Consumer-Custom-ID $consumer;
          proxy_set_header X-Credential-Scope $scope;
          proxy_set_header X-Credential-Email $email;
        }
        location = /_introspect { internal; js_content introspection.introspect; }
        location = /_endpoint {
          internal;
          proxy_pass http://backend/introspect;
          proxy_set_header Connection "";
          proxy_set_header Authorization "Basic Zzpz";
          proxy_set_header Content-Type application/x-www-form-urlencoded;
          proxy_cache answers;
          proxy_cache_key $token_digest;
          proxy_cache_methods POST;
          proxy_cache_valid 200 600s;
        }
      }`,
  }))
}

function keptUpstream(backend: Server): string {
  return `upstream backend { server 127.0.0.1:${backend.port}; keepalive 512; keepalive_requests 10000000; }`
}

interface Parts {
  readonly modules?: string
  readonly http: string
}

async function startNginx(part: Program['part'], parts: (port: number, folder: string) => Parts): Promise<Server> {
  const port = await unusedPort()
  return await startServer({
    name: 'nginx',
    part,
    port,
    configuration(folder) {
      const { modules = '', http } = parts(port, folder)
      const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/${name};`).join(' ')
      return `
        ${modules} daemon off; worker_processes 1; pid ${folder}/pid; error_log stderr crit;
        events { worker_connections 8192; }
        http { access_log off; keepalive_requests 10000000; ${temporary} ${http} }`
    },
    command: (folder, file) => ['nginx', '-p', folder, '-c', file, '-e', 'stderr'],
  })
}
