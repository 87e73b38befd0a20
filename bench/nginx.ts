/** nginx with one worker: as the upstream of every peer, and as the peer that only proxies. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { unusedPort } from '../test/support/ports.ts'

export interface Nginx {
  readonly port: number
  readonly pid: number
  stop(): Promise<void>
}

/** Answers every request with a small JSON body. */
export async function startNginxUpstream(): Promise<Nginx> {
  return await startNginx(
    (port) =>
      `server { listen 127.0.0.1:${port}; location / { default_type application/json; return 200 '{"ok":true,"items":[1,2,3]}'; } }`,
  )
}

/** `proxy_pass` over kept connections and nothing else: the floor. */
export async function startNginxProxy(upstreamPort: number): Promise<Nginx> {
  return await startNginx(
    (port) => `
      upstream backend { server 127.0.0.1:${upstreamPort}; keepalive 64; keepalive_requests 1000000; }
      server { listen 127.0.0.1:${port}; location / { proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection ""; } }`,
  )
}

async function startNginx(server: (port: number) => string): Promise<Nginx> {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-bench-nginx-'))
  const port = await unusedPort()
  const conf = join(folder, 'nginx.conf')
  writeFileSync(
    conf,
    `daemon off; worker_processes 1; pid ${folder}/pid; error_log stderr crit;
     events { worker_connections 4096; }
     http { access_log off; keepalive_requests 10000000; client_body_temp_path ${folder}; proxy_temp_path ${folder}; fastcgi_temp_path ${folder};
            uwsgi_temp_path ${folder}; scgi_temp_path ${folder}; ${server(port)} }`,
  )
  const child = spawn('nginx', ['-p', folder, '-c', conf], { stdio: ['ignore', 'ignore', 'inherit'] })
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  await listening(port)
  return {
    port,
    pid: child.pid as number,
    async stop() {
      child.kill('SIGTERM')
      await ended
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function listening(port: number): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = createConnection(port, '127.0.0.1')
      socket.once('connect', () => {
        socket.destroy()
        resolve(true)
      })
      socket.once('error', () => resolve(false))
    })
    if (open) return
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
  throw new Error(`nginx does not listen on port ${port}`)
}
