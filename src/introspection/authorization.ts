/** What a token must and must not say for a request to go on: scopes, audience, groups, roles, forbidden claims. Evaluated anew for each request. */
import { isJsonObject, type JsonObject, type JsonValue } from '../oauth/json.ts'

/** A way into nested claims: each element is a member of an object, or the index of an array in decimal digits. Dots have no meaning. */
export type ClaimPath = readonly string[]

/** One requirement: holds if all words of any alternative are among the values of the claim. */
export interface Requirement {
  readonly name: 'scope' | 'audience' | 'groups' | 'roles'
  readonly path: ClaimPath
  readonly alternatives: readonly (readonly string[])[]
}

export interface AuthorizationRules {
  /** All must hold. */
  readonly requirements: readonly Requirement[]
  /** Names of top-level claims that must not be there, whatever their value. */
  readonly forbidden: readonly string[]
}

/** No requirement at all. */
export const NO_RULES: AuthorizationRules = { requirements: [], forbidden: [] }

/** What was not satisfied. */
export type AuthorizationFailure = Requirement['name'] | 'forbidden_claim'

/** The log's words for it. */
export const AUTHORIZATION_TEXTS: Readonly<Record<AuthorizationFailure, string>> = {
  scope: 'the token lacks a required scope',
  audience: 'the token is for another audience',
  groups: 'the token lacks a required group',
  roles: 'the token lacks a required role',
  forbidden_claim: 'the token has a forbidden claim',
}

/** The requirement for a configured list; null where there is none. An element that is only white space never holds. */
export function requirement(
  name: Requirement['name'],
  path: ClaimPath | null | undefined,
  required: readonly string[] | null | undefined,
): Requirement | null {
  if (required == null || required.length === 0) return null
  return { name, path: path ?? [], alternatives: required.map(wordsOf) }
}

/** Null when all rules hold. @param sources objects with claims; for a requirement the first that has the path decides */
export function refuseByRules(sources: readonly JsonObject[], rules: AuthorizationRules): AuthorizationFailure | null {
  for (const { name, path, alternatives } of rules.requirements) {
    if (!satisfies(alternatives, claimValues(claimInFirst(sources, path)))) return name
  }
  for (const name of rules.forbidden) for (const source of sources) if (source[name] !== undefined) return 'forbidden_claim'
  return null
}

/** The value of the first source that has the path. */
export function claimInFirst(sources: readonly JsonObject[], path: ClaimPath): JsonValue | undefined {
  for (const source of sources) {
    const value = claimAt(source, path)
    if (value !== undefined) return value
  }
  return undefined
}

/** The value at a path; undefined where a level is missing, or where an element does not fit what is there. */
export function claimAt(claims: JsonObject, path: ClaimPath): JsonValue | undefined {
  if (path.length === 0) return undefined
  let value: JsonValue | undefined = claims
  for (const element of path) {
    if (isJsonObject(value)) value = value[element]
    else if (Array.isArray(value)) value = DIGITS.test(element) ? value[Number(element)] : undefined
    else return undefined
  }
  return value
}

const DIGITS = /^\d{1,9}$/

/**
 * The values of a claim: the words of a text; of an array its simple items as text, each whole, and its words where it has several; a number or boolean as
 * text. An object or null has none.
 */
export function claimValues(value: JsonValue | undefined): readonly string[] {
  if (typeof value === 'string') return wordsOf(value)
  if (typeof value === 'number' || typeof value === 'boolean') return [String(value)]
  if (!Array.isArray(value)) return []
  return value.flatMap((item: JsonValue) => {
    if (typeof item === 'string') return /\s/.test(item) ? [item, ...wordsOf(item)] : [item]
    return typeof item === 'number' || typeof item === 'boolean' ? [String(item)] : []
  })
}

/** Whether all words of any alternative are among `values`; case matters. */
export function satisfies(alternatives: readonly (readonly string[])[], values: readonly string[]): boolean {
  return alternatives.some((words) => words.length > 0 && words.every((word) => values.includes(word)))
}

function wordsOf(text: string): readonly string[] {
  return text.split(/\s+/).filter((word) => word !== '')
}
