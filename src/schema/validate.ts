/**
 * Input + schema → complete entity, or one violation per field. The order of work is Kong's: expand shorthands, fill auto fields and defaults, check fields,
 * check the entity. Texts are Kong's, word for word, because clients show them and tests compare them.
 */
import { randomUUID } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { setOwn } from '../util/own-property.ts'
import type { Check, Condition, Field, Fields, Shorthands, Violation, Violations } from './field.ts'
import { isVaultReference } from './field.ts'
import type { EntitySchema } from './schema.ts'
import { fieldsFor } from './schema.ts'
import { SchemaViolation } from './violations.ts'

/** A decoded JSON object. */
export type JsonObject = Readonly<Record<string, unknown>>

/** What is being written. `update` is a PATCH: the entity given is the stored one with the body merged in, and absent fields take no defaults. */
export type WriteContext = 'insert' | 'update'

export interface CompleteOptions {
  readonly context?: WriteContext
  /** Epoch seconds for `created_at` and `updated_at`. */
  readonly nowS: number
}

/** True for what JSON calls an object. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * Completes and checks `input`. The answer shows every declared field; unset ones are null.
 * @throws {SchemaViolation} with a violation per faulty field
 */
export function completeEntity(schema: EntitySchema, input: JsonObject, options: CompleteOptions): Record<string, unknown> {
  const context = options.context ?? 'insert'
  const shorthand = expandShorthands(schema.shorthands, input)
  const fields = fieldsFor(schema, shorthand.record)
  const nested = expandNested(fields, shorthand.record)
  // What a faulty shorthand stands for is unknown, so the rest cannot be judged: `url` is wrong, not `host` missing.
  const unexpanded = mergeViolations(shorthand.violations, nested.violations)
  if (unexpanded !== undefined) throw new SchemaViolation(unexpanded)
  const entity = fillFields(fields, nested.record, context)
  stampTimes(fields, entity, nested.record, options.nowS)
  const violations = checkEntity(schema, fields, entity, nested.record, context)
  if (violations !== undefined) throw new SchemaViolation(violations)
  return schema.derive === undefined ? entity : { ...entity, ...schema.derive(entity) }
}

/**
 * Kong's PATCH merge: records key by key, everything else replaced whole, absent keys untouched. Shorthands of the body are expanded first, so that a
 * `url` resets all that it stands for.
 * @throws {SchemaViolation} for a faulty shorthand
 */
export function mergePatch(schema: EntitySchema, stored: JsonObject, body: JsonObject): Record<string, unknown> {
  const shorthand = expandShorthands(schema.shorthands, body)
  const selector = schema.subschema === undefined ? stored : { ...stored, ...shorthand.record }
  const fields = fieldsFor(schema, selector)
  const nested = expandNested(fields, shorthand.record)
  const violations = mergeViolations(shorthand.violations, nested.violations)
  if (violations !== undefined) throw new SchemaViolation(violations)
  return mergeRecord(fields, stored, nested.record)
}

function mergeRecord(fields: Fields, stored: JsonObject, body: JsonObject): Record<string, unknown> {
  const merged: Record<string, unknown> = { ...stored }
  for (const [name, value] of Object.entries(body)) {
    const inner = Object.hasOwn(fields, name) ? fields[name] : undefined
    const before = stored[name]
    const recursive = inner?.kind === 'record' && inner.fields !== undefined && isObject(value) && isObject(before)
    setOwn(merged, name, recursive ? mergeRecord(inner.fields, before, value) : value)
  }
  return merged
}

// ---------------------------------------------------------------------------------------------------------------------------------- shorthands

interface Expanded {
  readonly record: Record<string, unknown>
  readonly violations: Violations | undefined
}

function expandShorthands(shorthands: Shorthands | undefined, input: JsonObject): Expanded {
  const record: Record<string, unknown> = { ...input }
  let violations: Violations | undefined
  for (const [name, shorthand] of Object.entries(shorthands ?? {})) {
    if (!Object.hasOwn(record, name)) continue
    const value = fillField(shorthand.field, record[name], 'insert')
    delete record[name]
    const wrongType = value === null ? undefined : checkField(shorthand.field, value)
    const result = wrongType === undefined ? shorthand.expand(value, record) : { violations: { [name]: wrongType } }
    if ('violations' in result) violations = mergeViolations(violations, result.violations)
    else overlay(record, result.values)
  }
  return { record, violations }
}

function overlay(target: Record<string, unknown>, values: JsonObject): void {
  for (const [name, value] of Object.entries(values)) {
    const before = target[name]
    if (isObject(value) && isObject(before)) {
      const inner: Record<string, unknown> = { ...before }
      overlay(inner, value)
      setOwn(target, name, inner)
    } else setOwn(target, name, value)
  }
}

/** Expands the shorthands of the records inside `input` (a plugin's config, its `redis`). */
function expandNested(fields: Fields, input: JsonObject): Expanded {
  const record: Record<string, unknown> = { ...input }
  let violations: Violations | undefined
  for (const [name, field] of Object.entries(fields)) {
    const value = record[name]
    if (field.kind !== 'record' || field.fields === undefined || !isObject(value)) continue
    const own = expandShorthands(field.shorthands, value)
    const inner = expandNested(field.fields, own.record)
    setOwn(record, name, inner.record)
    const found = mergeViolations(own.violations, inner.violations)
    if (found !== undefined) violations = mergeViolations(violations, { [name]: found })
  }
  return { record, violations }
}

// ------------------------------------------------------------------------------------------------------------------------ auto fields, defaults

function fillFields(fields: Fields, input: JsonObject, context: WriteContext): Record<string, unknown> {
  const record: Record<string, unknown> = {}
  for (const [name, field] of Object.entries(fields))
    record[name] = fillField(field, Object.hasOwn(input, name) ? input[name] : undefined, context)
  for (const [name, value] of Object.entries(input)) if (!Object.hasOwn(fields, name)) setOwn(record, name, value)
  return record
}

function fillField(field: Field, value: unknown, context: WriteContext): unknown {
  if (value === undefined && field.options.auto === true && context === 'insert') {
    if (field.options.uuid === true) return randomUUID()
    if (field.kind === 'string') return randomUUID().replaceAll('-', '')
  }
  // A PATCH brings no defaults, but for what may not be null: members of a record or a list element that is new as a whole.
  const takesDefault = value === undefined && (context === 'insert' || field.options.required === true)
  if (takesDefault && field.options.default !== undefined) return structuredClone<unknown>(field.options.default)
  if (field.kind === 'record' && field.fields !== undefined) {
    if (isObject(value)) return fillFields(field.fields, value, context)
    const absent = value === undefined || value === null
    return absent && field.options.required === true ? fillFields(field.fields, {}, 'insert') : (value ?? null)
  }
  if (field.kind === 'set' && Array.isArray(value)) return distinct(field, fillElements(field, value, context))
  if (field.kind === 'array' && Array.isArray(value)) return fillElements(field, value, context)
  // Kong cannot tell an empty JSON object from an empty array.
  if ((field.kind === 'set' || field.kind === 'array') && isObject(value) && Object.keys(value).length === 0) return []
  if (field.kind === 'map' && Array.isArray(value) && value.length === 0) return {}
  return value === undefined ? null : value
}

function fillElements(field: Field, list: readonly unknown[], context: WriteContext): unknown[] {
  const elements = field.elements
  if (elements?.kind !== 'record') return [...list]
  return list.map((item) => (isObject(item) ? fillField(elements, item, context) : item))
}

/** Drops repetitions. Faulty elements stay: they are refused later, and nothing bounds how deep they are. */
function distinct(field: Field, list: readonly unknown[]): unknown[] {
  const seen = new Set<unknown>()
  return list.filter((item) => {
    if (typeof item === 'object' && checkImplicitlyRequired(field.elements, item) !== undefined) return true
    const key = typeof item === 'object' ? JSON.stringify(item) : item
    if (seen.has(key)) return false
    seen.add(key)
    return true
  })
}

/** `created_at`: now unless given. `updated_at`: always now; a client's value is discarded unchecked. */
function stampTimes(fields: Fields, entity: Record<string, unknown>, input: JsonObject, nowS: number): void {
  if (fields['created_at']?.options.auto === true && (input['created_at'] ?? null) === null) entity['created_at'] = nowS
  if (fields['updated_at']?.options.auto === true) entity['updated_at'] = nowS
}

// -------------------------------------------------------------------------------------------------------------------------------------- checks

function checkEntity(
  schema: EntitySchema,
  fields: Fields,
  entity: JsonObject,
  input: JsonObject,
  context: WriteContext,
): Violations | undefined {
  const subschema = schema.subschema
  const picked = subschema?.pick(entity[subschema.key])
  const violations: Violations = checkFields(fields, entity) ?? {}
  if (subschema !== undefined && picked === undefined && violations[subschema.key] === undefined) {
    violations[subschema.key] = subschema.unknown(entity[subschema.key])
    // Without its subschema the abstract part of the entity cannot be judged.
    for (const name of Object.keys(violations))
      if (violations[name] === 'unknown field' && Object.hasOwn(schema.fields, name)) delete violations[name]
  }
  runChecks([...(schema.checks ?? []), ...(picked?.checks ?? [])], entity, violations, input, context)
  if (picked?.inspect !== undefined && Object.keys(violations).length === 0) Object.assign(violations, picked.inspect(entity))
  return Object.keys(violations).length === 0 ? undefined : violations
}

function checkFields(fields: Fields, record: JsonObject): Violations | undefined {
  const violations: Violations = {}
  for (const name of Object.keys(record)) if (!Object.hasOwn(fields, name)) setOwn(violations, name, 'unknown field')
  for (const [name, field] of Object.entries(fields)) {
    const violation = checkField(field, record[name])
    if (violation !== undefined) violations[name] = violation
  }
  return Object.keys(violations).length === 0 ? undefined : violations
}

/** Checks one value; first failure wins: presence, vault reference, type, elements, then the validators in Kong's order. */
export function checkField(field: Field, value: unknown): Violation | undefined {
  const { options } = field
  if (value === null || value === undefined) return options.required === true ? (options.err ?? 'required field missing') : undefined
  if (options.eq === null) return options.err ?? 'value must be null'
  if (options.referenceable === true && isVaultReference(value)) return checkBuilt(field, value)
  const violation = checkType(field, value) ?? checkValue(field, value)
  if (violation !== undefined) return options.err !== undefined && typeof violation === 'string' ? options.err : violation
  return checkBuilt(field, value)
}

const TYPE_TEXT: Record<Field['kind'], string> = {
  array: 'expected an array',
  set: 'expected a set',
  map: 'expected a map',
  record: 'expected a record',
  foreign: 'expected a record',
  string: 'expected a string',
  number: 'expected a number',
  boolean: 'expected a boolean',
  integer: 'expected an integer',
}

function checkType(field: Field, value: unknown): Violation | undefined {
  switch (field.kind) {
    case 'array':
    case 'set':
      return Array.isArray(value) ? checkElements(field, value) : TYPE_TEXT[field.kind]
    case 'map':
      return isObject(value) ? checkMap(field, value) : TYPE_TEXT.map
    case 'record':
      return isObject(value) ? checkRecord(field, value) : TYPE_TEXT.record
    case 'foreign':
      return isObject(value) ? checkForeign(value) : TYPE_TEXT.foreign
    case 'integer':
      return Number.isInteger(value) ? undefined : TYPE_TEXT.integer
    case 'number':
      return typeof value === 'number' && Number.isFinite(value) ? undefined : TYPE_TEXT.number
    default:
      return typeof value === field.kind ? undefined : TYPE_TEXT[field.kind]
  }
}

function checkElements(field: Field, list: readonly unknown[]): Violation | undefined {
  const violations = list.map((item) => checkImplicitlyRequired(field.elements, item) ?? null)
  const last = violations.findLastIndex((violation) => violation !== null)
  return last === -1 ? undefined : violations.slice(0, last + 1)
}

function checkMap(field: Field, map: JsonObject): Violation | undefined {
  for (const [key, value] of Object.entries(map)) {
    const violation = checkImplicitlyRequired(field.keys, key) ?? checkImplicitlyRequired(field.values, value)
    if (violation !== undefined) return violation
  }
  return undefined
}

function checkImplicitlyRequired(field: Field | undefined, value: unknown): Violation | undefined {
  if (value === null || value === undefined) return 'required field missing'
  return field === undefined ? undefined : checkField(field, value)
}

function checkRecord(field: Field, record: JsonObject): Violation | undefined {
  // An abstract record: only a subschema can judge it.
  if (field.fields === undefined) return undefined
  const violations: Violations = checkFields(field.fields, record) ?? {}
  runChecks(field.checks ?? [], record, violations, record, 'insert')
  return Object.keys(violations).length === 0 ? undefined : violations
}

function checkForeign(value: JsonObject): Violation | undefined {
  const id = value['id']
  if (id === undefined || id === null) return { id: 'missing primary key' }
  return isUuid(id) ? undefined : { id: 'expected a valid UUID' }
}

/** Kong's UUID form: any letter case, any version. */
export function isUuid(value: unknown): value is string {
  return typeof value === 'string' && /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i.test(value)
}

/** The validators, in Kong's order; the first that fails gives the text. */
function checkValue(field: Field, value: unknown): string | undefined {
  const o = field.options
  if (o.eq !== undefined && value !== o.eq) return `value must be ${String(o.eq)}`
  if (o.ne !== undefined && value === o.ne) return `value must not be ${String(o.ne)}`
  if (o.notOneOf?.includes(value)) return `must not be one of: ${o.notOneOf.join(', ')}`
  if (o.oneOf !== undefined && !o.oneOf.includes(value)) return `expected one of: ${o.oneOf.join(', ')}`
  if (typeof value === 'number') {
    if (o.gt !== undefined && !(value > o.gt)) return `value must be greater than ${o.gt}`
    if (o.timestamp === true && !(value > 0)) return 'expected a valid timestamp'
    if (o.between !== undefined && (value < o.between[0] || value > o.between[1]))
      return `value should be between ${o.between[0]} and ${o.between[1]}`
  }
  if (o.uuid === true && !isUuid(value)) return 'expected a valid UUID'
  return (
    checkLength(field, value) ??
    (typeof value === 'string' ? checkText(o, value) : undefined) ??
    o.validator?.(value) ??
    checkSubsets(o, value)
  )
}

function checkLength(field: Field, value: unknown): string | undefined {
  const { lenMin, lenMax } = field.options
  const length = typeof value === 'string' ? Buffer.byteLength(value) : Array.isArray(value) ? value.length : undefined
  if (length === undefined) return undefined
  const least = lenMin ?? (typeof value === 'string' ? 1 : 0)
  if (lenMin !== undefined && lenMin === lenMax && length !== lenMin) return `length must be ${lenMin}`
  if (length < least) return `length must be at least ${least}`
  return lenMax !== undefined && length > lenMax ? `length must be at most ${lenMax}` : undefined
}

function checkText(o: Field['options'], value: string): string | undefined {
  if (o.startsWith !== undefined && !value.startsWith(o.startsWith)) return `should start with: ${o.startsWith}`
  if (o.notMatch?.test(value)) return `invalid value: ${value}`
  const forbidden = o.matchNone?.find((rule) => rule.pattern.test(value))
  if (forbidden !== undefined) return forbidden.err ?? `invalid value: ${value}`
  if (o.match !== undefined && !o.match.test(value)) return `invalid value: ${value}`
  const unmet = o.matchAll?.find((rule) => !rule.pattern.test(value))
  return unmet === undefined ? undefined : (unmet.err ?? `invalid value: ${value}`)
}

function checkSubsets(o: Field['options'], value: unknown): string | undefined {
  if (o.mutuallyExclusiveSubsets === undefined || !Array.isArray(value)) return undefined
  const touched = o.mutuallyExclusiveSubsets.filter((subset) => subset.some((item) => value.includes(item)))
  if (touched.length < 2) return undefined
  return `these sets are mutually exclusive: ${touched.map((subset) => `(${quoted(subset)})`).join(', ')}`
}

function checkBuilt(field: Field, value: unknown): string | undefined {
  if (field.options.notBuilt === undefined) return undefined
  const standard = fillField(field, undefined, 'insert')
  return isDeepStrictEqual(value, standard) ? undefined : field.options.notBuilt
}

// ------------------------------------------------------------------------------------------------------------------------------- entity checks

function runChecks(checks: readonly Check[], record: JsonObject, violations: Violations, input: JsonObject, context: WriteContext): void {
  const texts: string[] = []
  for (const check of checks) {
    const names = check.kind === 'conditional' ? [check.ifField, check.thenField] : check.fields
    if (names.some((name) => violations[name] !== undefined || isVaultReference(record[name]))) continue
    if (check.kind === 'custom') {
      const found = check.run(record)
      if (found !== undefined) addViolations(violations, texts, found)
    } else if (check.kind === 'conditional') runConditional(check, record, input, violations, texts)
    else {
      const text = countText(check, record)
      if (text !== undefined) texts.push(context === 'update' && check.kind === 'at_least_one_of' ? `when updating, ${text}` : text)
    }
  }
  if (texts.length > 0) violations['@entity'] = texts
}

function addViolations(violations: Violations, texts: string[], found: Violations): void {
  for (const [name, violation] of Object.entries(found)) {
    if (name === '@entity' && Array.isArray(violation)) texts.push(...violation.map(String))
    else violations[name] = violation
  }
}

function runConditional(
  check: Extract<Check, { kind: 'conditional' }>,
  record: JsonObject,
  input: JsonObject,
  violations: Violations,
  texts: string[],
): void {
  if (!Object.hasOwn(input, check.ifField) && !Object.hasOwn(input, check.thenField) && record[check.ifField] === null) return
  if (!holds(check.ifMatch, record[check.ifField])) return
  const violation = conditionText(check.thenMatch, record[check.thenField])
  if (violation === undefined) return
  texts.push(check.thenErr ?? `failed conditional validation given value of field '${check.ifField}'`)
  violations[check.thenField] = violation
}

function holds(condition: Condition, value: unknown): boolean {
  return conditionText(condition, value) === undefined
}

function conditionText(condition: Condition, value: unknown): string | undefined {
  if (condition.required === true && (value === null || value === undefined)) return 'required field missing'
  if (condition.eq !== undefined && (value ?? null) !== condition.eq) return `value must be ${String(condition.eq)}`
  if (condition.ne !== undefined && (value ?? null) === condition.ne) return `value must not be ${String(condition.ne)}`
  if (condition.oneOf !== undefined && !condition.oneOf.includes(value)) return `expected one of: ${condition.oneOf.join(', ')}`
  if (condition.notOneOf?.includes(value)) return `must not be one of: ${condition.notOneOf.join(', ')}`
  return undefined
}

function countText(check: Exclude<Check, { kind: 'conditional' | 'custom' }>, record: JsonObject): string | undefined {
  const set = check.fields.filter((name) => isSet(record[name])).length
  const names = quoted(check.fields)
  switch (check.kind) {
    case 'at_least_one_of':
      return set === 0 ? `at least one of these fields must be non-empty: ${names}` : undefined
    case 'only_one_of':
      return set === 1 ? undefined : `exactly one of these fields must be non-empty: ${names}`
    case 'mutually_exclusive':
      return set > 1 ? `only one or none of these fields must be set: ${names}` : undefined
    case 'mutually_required':
      return set === 0 || set === check.fields.length ? undefined : `all or none of these fields must be set: ${names}`
  }
}

function isSet(value: unknown): boolean {
  return value !== null && value !== undefined && !(Array.isArray(value) && value.length === 0)
}

// --------------------------------------------------------------------------------------------------------------------------------------- small

function quoted(names: readonly string[]): string {
  return names.map((name) => `'${name}'`).join(', ')
}

function mergeViolations(...all: readonly (Violations | undefined)[]): Violations | undefined {
  let merged: Violations | undefined
  for (const violations of all) {
    if (violations === undefined) continue
    merged ??= {}
    for (const [name, violation] of Object.entries(violations)) {
      const before = merged[name]
      const nested = isObject(before) && isObject(violation)
      setOwn(merged, name, nested ? (mergeViolations(before as Violations, violation as Violations) as Violations) : violation)
    }
  }
  return merged
}
