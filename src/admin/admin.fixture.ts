/** A running Admin API over a real database, and a client for it. For tests only. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { request } from 'undici'
import type { Database } from '../db/database.ts'
import { createDatabase } from '../db/open.ts'
import type { PluginSchema } from '../plugin/define.ts'
import { pluginSchema } from '../plugin/define.ts'
import { field } from '../schema/field.ts'
import { silentLog } from '../telemetry/log.ts'
import type { AdminDeps } from './deps.ts'
import { createAdminServer, createStatusServer } from './server.ts'

const METHODS = ['introspection', 'password', 'session'] as const

/** Small plugins with the kinds of fields that the Admin API treats differently. */
const SCHEMAS: readonly PluginSchema[] = [
  pluginSchema({
    name: 'openid-connect',
    scopes: ['service', 'route'],
    config: {
      issuer: field.url({ required: true }),
      auth_methods: field.array({ required: true, default: [...METHODS], elements: field.string({ oneOf: [...METHODS] }) }),
      ttl: field.integer({ default: 30 }),
      anonymous: field.string(),
      secret: field.string({ encrypted: true }),
      redis: field.record({
        required: true,
        fields: { connect_timeout: field.integer({ default: 2000 }), host: field.string() },
        shorthands: {
          timeout: {
            field: field.integer(),
            expand: (value) => ({ values: { connect_timeout: value } }),
            replacedWith: [['redis', 'connect_timeout']],
            echo: (record) => record['connect_timeout'],
          },
        },
      }),
    },
  }),
  pluginSchema({
    name: 'key-auth',
    scopes: ['service', 'route'],
    config: { key_names: field.array({ default: ['apikey'], elements: field.string() }) },
  }),
  pluginSchema({ name: 'limits', scopes: ['service', 'route', 'consumer'], config: { minute: field.integer({ gt: 0 }) } }),
]

export interface Reply {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly text: string
  /** The body as JSON; undefined where it is none. */
  readonly body: unknown
}

export interface Sent {
  readonly json?: unknown
  /** Text of an `application/x-www-form-urlencoded` body. */
  readonly form?: string
  readonly raw?: string | Buffer
  readonly headers?: Readonly<Record<string, string | string[]>>
}

/** Sends `GET /services` and the like, and reads the answer whole. */
export type Client = (target: string, sent?: Sent) => Promise<Reply>

export interface AdminUnderTest {
  readonly database: Database
  readonly admin: Client
  readonly status: Client
  readonly origin: string
  /** Names of the hooks that were called, in order. */
  readonly calls: readonly string[]
}

/** What a test may replace; functions of the fixture itself are kept. */
export type Overrides = Partial<AdminDeps> & { readonly kind?: Database['kind'] }

/** Starts both servers on loopback ports of their own; everything ends with the test. */
export async function startAdmin(t: TestContext, { kind = 'sqlite', ...overrides }: Overrides = {}): Promise<AdminUnderTest> {
  const folder = mkdtempSync(join(tmpdir(), 'admin-'))
  const plugins = new Map(
    SCHEMAS.map((schema, index) => [schema.name, { schema, version: '1.2.3', priority: 1000 + index, subschema: schema.subschema }]),
  )
  const keyringFile = join(folder, 'keyring')
  const database = await createDatabase(
    kind === 'off' ? { kind, plugins } : { kind, plugins, file: join(folder, 'test.sqlite'), keyringFile },
  )
  const calls: string[] = []
  let draining = false
  const deps: AdminDeps = {
    database,
    plugins,
    routes: [],
    configuration: { role: 'traditional', database: 'ignored' },
    nodeId: '6f1c2c0e-1d3a-4a63-8a3a-8f5a6c1f0001',
    version: '3.9.1',
    ownVersion: '0.1.0',
    processes: () => ({ master: process.pid, workers: [1, 2] }),
    status: () => ({
      server: {
        connections_accepted: 1,
        connections_active: 1,
        connections_handled: 1,
        connections_reading: 0,
        connections_waiting: 0,
        connections_writing: 1,
        total_requests: 7,
      },
      workers: [{ pid: 1, heapBytes: 3 * 1024 * 1024 }],
    }),
    metrics: async () => ({ type: 'text/plain; version=0.0.4; charset=UTF-8', text: 'up 1\n' }),
    routing: () => true,
    accessLog: { isOpen: false, write() {}, close() {} },
    unreadiness: () => (draining ? 'draining' : null),
    drain: () => {
      draining = true
    },
    token: null,
    headers: { server: true, latency: true },
    guiOrigins: [],
    maxBodyBytes: 10 * 1024 * 1024,
    applyChange: async () => {
      calls.push('applyChange')
    },
    purge: async () => {
      calls.push('purge')
    },
    log: silentLog,
    ...overrides,
  }
  const adminServer = await createAdminServer(deps)
  const statusServer = await createStatusServer(deps)
  t.after(async () => {
    await adminServer.close()
    await statusServer.close()
    await database.close()
    rmSync(folder, { recursive: true })
  })
  const origin = await adminServer.listen({ host: '127.0.0.1', port: 0 })
  const statusOrigin = await statusServer.listen({ host: '127.0.0.1', port: 0 })
  return { database, admin: clientOf(origin), status: clientOf(statusOrigin), origin, calls }
}

function clientOf(origin: string): Client {
  return async (target, sent = {}) => {
    const [method = '', path = ''] = target.split(' ')
    const { body, type } = encode(sent)
    const answer = await request(`${origin}${path}`, {
      method,
      body,
      headers: { ...(type === undefined ? {} : { 'content-type': type }), ...sent.headers },
    })
    const text = await answer.body.text()
    return { status: answer.statusCode, headers: answer.headers, text, body: parse(text) }
  }
}

function encode({ json, form, raw }: Sent): { readonly body: string | Buffer | null; readonly type?: string } {
  if (json !== undefined) return { body: JSON.stringify(json), type: 'application/json' }
  if (form !== undefined) return { body: form, type: 'application/x-www-form-urlencoded' }
  return { body: raw ?? null }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** The value under `path` of a decoded body; undefined where there is none. */
export function at(value: unknown, ...path: readonly (string | number)[]): unknown {
  return path.reduce<unknown>(
    (holder, step) => (typeof holder === 'object' && holder !== null ? Reflect.get(holder, step) : undefined),
    value,
  )
}

/** The id of the entity in an answer. */
export function idOf({ body, text }: Reply): string {
  const id = at(body, 'id')
  if (typeof id !== 'string') throw new TypeError(`no id in ${text}`)
  return id
}
