/** Fields that most entities have. */
import { field } from '../schema/field.ts'
import { tag, utf8Name } from './validators.ts'

/** The primary key: a UUID, generated when the client gives none. */
export const idField = field.string({ uuid: true, auto: true })

/** Epoch seconds of the insertion, or what the client says. */
export const createdAtField = field.integer({ timestamp: true, auto: true, unit: 's' })

/** Epoch seconds of the last write; never the client's. */
export const updatedAtField = field.integer({ timestamp: true, auto: true, unit: 's' })

/** A unique name that may stand for the id in paths. */
export const nameField = field.string({ unique: true, validator: utf8Name })

/** Labels for the list filter. */
export const tagsField = field.set({ elements: field.string({ required: true, validator: tag }) })

/** Every protocol of Kong's vocabulary, in its order. */
export const PROTOCOLS = ['grpc', 'grpcs', 'http', 'https', 'tcp', 'tls', 'tls_passthrough', 'udp'] as const

/** Refuses the protocols that this gateway does not speak yet: nothing is accepted that would then be ignored. */
export function spokenProtocol(protocol: string): string | undefined {
  return protocol === 'http' || protocol === 'https' ? undefined : `${protocol} is not available yet`
}
