/** From claims to the Consumer whom they name. Looked up for each request, so that a change of Consumers takes effect at once. */
import type { Consumer, ConsumerDirectory } from '../entities/consumer-directory.ts'
import type { JsonObject, JsonValue } from '../oauth/json.ts'
import { type ClaimPath, claimInFirst } from './authorization.ts'

/** The log's words for claims that name no Consumer where one is needed. */
export const NO_CONSUMER = 'no consumer was found for the token'

/** What identifies a Consumer. */
export type ConsumerKey = 'id' | 'username' | 'custom_id'

export interface ConsumerMapping {
  /** Tried in order; the first that names a Consumer decides. None: nobody is looked up. */
  readonly claims: readonly ClaimPath[]
  /** Looked at in this order. */
  readonly by: readonly ConsumerKey[]
  readonly ignoreUsernameCase: boolean
  /** Types that may name a Consumer; numbers and booleans by their text. An empty text names nobody. */
  readonly accepts: ReadonlySet<'string' | 'number' | 'boolean'>
  /** A request whose claims name no Consumer goes on without one. */
  readonly optional: boolean
}

/** The Consumer, or null. @param sources objects with claims; for a path the first that has it decides */
export function mapConsumer(sources: readonly JsonObject[], mapping: ConsumerMapping, consumers: ConsumerDirectory): Consumer | null {
  for (const path of mapping.claims) {
    const name = nameOf(claimInFirst(sources, path), mapping)
    const consumer = name === null ? undefined : find(name, mapping, consumers)
    if (consumer !== undefined) return consumer
  }
  return null
}

function nameOf(value: JsonValue | undefined, { accepts }: ConsumerMapping): string | null {
  if (typeof value === 'string') return value !== '' && accepts.has('string') ? value : null
  if (typeof value === 'number') return accepts.has('number') ? String(value) : null
  return typeof value === 'boolean' && accepts.has('boolean') ? String(value) : null
}

function find(name: string, { by, ignoreUsernameCase }: ConsumerMapping, consumers: ConsumerDirectory): Consumer | undefined {
  for (const key of by) {
    const consumer = findBy(key, name, ignoreUsernameCase, consumers)
    if (consumer !== undefined) return consumer
  }
  return undefined
}

function findBy(key: ConsumerKey, name: string, ignoreUsernameCase: boolean, consumers: ConsumerDirectory): Consumer | undefined {
  if (key === 'id') return consumers.byId(name)
  if (key === 'custom_id') return consumers.byCustomId(name)
  return ignoreUsernameCase ? consumers.byUsernameIgnoringCase(name) : consumers.byUsername(name)
}
