/** The part of oidc-provider (which ships no types) that the demo's authorization server uses. */
declare module 'oidc-provider' {
  import type { IncomingMessage, ServerResponse } from 'node:http'

  /** A registered client, members in camel case; members named in `extraClientMetadata.properties` keep their name. */
  export interface Client {
    readonly clientId: string
    readonly scope?: string
    readonly [member: string]: unknown
    grantTypeAllowed(type: string): boolean
  }

  /** What is kept of a token; absent members were not set. */
  export interface TokenMembers {
    client?: Client
    accountId?: string
    grantId?: string
    gty?: string
    scope?: string
    resource?: string
    authTime?: number
    rotations?: number
  }

  export interface Token extends TokenMembers {
    readonly kind: string
    readonly clientId: string
    readonly expiration: number
    readonly tokenType: string
    jti: string
    aud?: string
    format?: 'opaque' | 'jwt'
    extra?: Record<string, unknown>
    resourceServer?: ResourceServer
    jkt?: string
    save(): Promise<string>
  }

  export interface Grant {
    addOIDCScope(scope: string): void
    addResourceScope(resource: string, scope: string): void
    save(): Promise<string>
  }

  export interface IdToken {
    scope: string
    mask: Record<string, unknown>
    rejected: string[]
    set(claim: string, value: unknown): void
    issue(options: { use: 'idtoken' }): Promise<string>
  }

  export interface ResourceServer {
    readonly scope: string
    readonly audience?: string
  }

  export interface ResourceServerInfo {
    scope: string
    audience?: string
    accessTokenFormat?: 'opaque' | 'jwt'
    jwt?: { sign: { alg: string } }
  }

  export interface Account {
    accountId: string
    claims(use: string, scope: string): Record<string, unknown>
  }

  /** Koa's context with what oidc-provider adds. */
  export interface Context {
    body: unknown
    status: number
    readonly oidc: {
      readonly route?: string
      /** The form as received. */
      readonly body?: Record<string, unknown>
      /** The parameters that the grant type declares. */
      readonly params: Record<string, unknown>
      readonly client: Client
      readonly entities: { AccessToken?: Token; ClientCredentials?: Token }
      entity(name: string, value: unknown): void
    }
  }

  export type Middleware = (ctx: Context, next: () => Promise<void>) => Promise<void>

  export class Provider {
    constructor(issuer: string, configuration: Record<string, unknown>)
    readonly AccessToken: new (
      members: TokenMembers,
    ) => Token
    readonly RefreshToken: new (
      members: TokenMembers,
    ) => Token
    readonly Grant: new (members: {
      clientId: string
      accountId: string
    }) => Grant
    readonly IdToken: new (
      claims: Record<string, unknown>,
      options: { ctx: Context },
    ) => IdToken
    readonly ResourceServer: new (
      identifier: string,
      info: ResourceServerInfo,
    ) => ResourceServer
    registerGrantType(name: string, handler: (ctx: Context) => Promise<void>, parameters: string[], repeatable?: string[]): void
    use(middleware: Middleware): this
    on(event: 'server_error', listener: (ctx: Context, error: Error) => void): this
    on(event: 'error', listener: (error: Error) => void): this
    callback(): (request: IncomingMessage, response: ServerResponse) => Promise<void>
  }

  export const errors: {
    readonly InvalidGrant: new (description: string) => Error
    readonly InvalidRequest: new (description: string) => Error
    readonly InvalidScope: new (description: string, scope: string) => Error
  }
}
