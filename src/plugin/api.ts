/**
 * What a plugin of one's own is made with, also as the package's entry `sallyport/plugin`. A handler outside this repository takes it as an argument, so that
 * it needs no installation of its own:
 *
 *   export default ({ definePlugin, pluginSchema, field }) => definePlugin({ … })
 */
import { field } from '../schema/field.ts'
import { definePlugin, pluginSchema } from './define.ts'

export type { Infer } from '../schema/field.ts'
export { field } from '../schema/field.ts'
export type { ClientRequest, Credential, Identity, RequestContext } from './context.ts'
export type { CredentialNames } from './credential-names.ts'
export type { PhaseResult, Plugin, PluginSchema } from './define.ts'
export { definePlugin, pluginSchema } from './define.ts'
export type { PluginKit } from './kit.ts'

/** The builders, as one argument. */
export const pluginApi = { definePlugin, pluginSchema, field } as const

/** Type of that argument. */
export type PluginApi = typeof pluginApi
