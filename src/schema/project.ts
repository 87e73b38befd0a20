/** Projections of a schema: Kong's `GET /schemas` answer, the echo of shorthands in Admin answers, and the Markdown reference. */
import type { Check, Field, FieldOptions, Fields, PatternRule, Shorthands } from './field.ts'
import { isVaultReference } from './field.ts'
import type { EntitySchema, Subschema } from './schema.ts'
import { isObject } from './validate.ts'

type Json = Record<string, unknown>

/** What `GET /schemas/<entity>` answers: fields as a list of one-key objects in schema order, with Kong's attribute names. */
export function toKongSchema(schema: Pick<EntitySchema, 'fields' | 'checks' | 'shorthands'>): Json {
  return { fields: toKongFields(schema.fields), ...toKongShorthands(schema.shorthands), entity_checks: toKongChecks(schema.checks) }
}

/** What `GET /schemas/plugins/<name>` answers: scope restrictions, protocols and the config record. */
export function toKongSubschema(subschema: Subschema): Json {
  return { fields: toKongFields(subschema.fields), entity_checks: toKongChecks(subschema.checks) }
}

function toKongFields(fields: Fields): Json[] {
  return Object.entries(fields).map(([name, field]) => ({ [name]: toKongField(field) }))
}

function toKongField(field: Field): Json {
  const answer: Json = { type: field.kind, ...toKongAttributes(field.options) }
  if (field.reference !== undefined) answer['reference'] = field.reference
  if (field.kind === 'foreign' && field.onDelete === 'cascade') answer['on_delete'] = 'cascade'
  if (field.elements !== undefined) answer['elements'] = toKongField(field.elements)
  if (field.keys !== undefined) answer['keys'] = toKongField(field.keys)
  if (field.values !== undefined) answer['values'] = toKongField(field.values)
  if (field.fields !== undefined) Object.assign(answer, { fields: toKongFields(field.fields) }, toKongShorthands(field.shorthands))
  if (field.checks !== undefined && field.checks.length > 0) answer['entity_checks'] = toKongChecks(field.checks)
  return answer
}

const ATTRIBUTES: readonly (readonly [keyof FieldOptions, string])[] = [
  ['required', 'required'],
  ['default', 'default'],
  ['auto', 'auto'],
  ['uuid', 'uuid'],
  ['timestamp', 'timestamp'],
  ['transient', 'transient'],
  ['unique', 'unique'],
  ['referenceable', 'referenceable'],
  ['encrypted', 'encrypted'],
  ['oneOf', 'one_of'],
  ['notOneOf', 'not_one_of'],
  ['eq', 'eq'],
  ['ne', 'ne'],
  ['gt', 'gt'],
  ['between', 'between'],
  ['lenMin', 'len_min'],
  ['lenMax', 'len_max'],
  ['startsWith', 'starts_with'],
  ['err', 'err'],
  ['mutuallyExclusiveSubsets', 'mutually_exclusive_subsets'],
  ['description', 'description'],
]

function toKongAttributes(options: FieldOptions): Json {
  const attributes: Json = {}
  for (const [ours, theirs] of ATTRIBUTES) if (options[ours] !== undefined) attributes[theirs] = options[ours]
  if (options.match !== undefined) attributes['match'] = options.match.source
  if (options.notMatch !== undefined) attributes['not_match'] = options.notMatch.source
  if (options.matchNone !== undefined) attributes['match_none'] = options.matchNone.map(toKongPattern)
  if (options.matchAll !== undefined) attributes['match_all'] = options.matchAll.map(toKongPattern)
  return attributes
}

function toKongPattern(rule: PatternRule): Json {
  return { pattern: rule.pattern.source, ...(rule.err === undefined ? {} : { err: rule.err }) }
}

function toKongShorthands(shorthands: Shorthands | undefined): Json {
  const entries = Object.entries(shorthands ?? {})
  if (entries.length === 0) return {}
  const list = entries.map(([name, { field, replacedWith, deprecation }]) => ({
    [name]: {
      ...toKongField(field),
      ...(deprecation === undefined
        ? {}
        : {
            deprecation: {
              message: deprecation.message,
              removal_in_version: deprecation.removalInVersion,
              ...(replacedWith === undefined ? {} : { replaced_with: replacedWith.map((path) => ({ path })) }),
            },
          }),
    },
  }))
  return { shorthand_fields: list }
}

function toKongChecks(checks: readonly Check[] = []): Json[] {
  return checks.flatMap((check): Json[] => {
    switch (check.kind) {
      case 'custom':
        return [{ custom_entity_check: { field_sources: check.fields } }]
      case 'conditional':
        return [
          {
            conditional: {
              if_field: check.ifField,
              if_match: toKongCondition(check.ifMatch),
              then_field: check.thenField,
              then_match: toKongCondition(check.thenMatch),
              ...(check.thenErr === undefined ? {} : { then_err: check.thenErr }),
            },
          },
        ]
      default:
        return [{ [check.kind]: check.fields }]
    }
  })
}

function toKongCondition(condition: Extract<Check, { kind: 'conditional' }>['ifMatch']): Json {
  const { oneOf, notOneOf, ...rest } = condition
  return { ...rest, ...(oneOf === undefined ? {} : { one_of: oneOf }), ...(notOneOf === undefined ? {} : { not_one_of: notOneOf }) }
}

/** The record with the shorthands that Kong echoes beside their replacements (`redis.timeout`, `session_redis_host`). Never stored. */
export function withEchoes(fields: Fields, record: Json): Json {
  const shown: Json = { ...record }
  for (const [name, field] of Object.entries(fields)) {
    const value = record[name]
    if (field.kind !== 'record' || field.fields === undefined || !isObject(value)) continue
    shown[name] = { ...withEchoes(field.fields, value), ...echoes(field.shorthands, value) }
  }
  return shown
}

function echoes(shorthands: Shorthands | undefined, record: Json): Json {
  return Object.fromEntries(
    Object.entries(shorthands ?? {}).flatMap(([name, { echo }]) => (echo === undefined ? [] : [[name, echo(record)]])),
  )
}

/** Replaces the value of every `encrypted` field by `map(value)`; other members are kept. For logs, and for the database with a cipher. */
export function mapEncrypted(fields: Fields, record: Json, map: (value: string) => string): Json {
  return mapFields(fields, record, (options) => options.encrypted === true, map)
}

/** Replaces every `{vault://…}` reference in a `referenceable` field by `resolve(reference)`. For those who use the configuration; it is stored unresolved. */
export function resolveReferences(fields: Fields, record: Json, resolve: (reference: string) => string): Json {
  const map = (value: string): string => (isVaultReference(value) ? resolve(value) : value)
  return mapFields(fields, record, (options) => options.referenceable === true, map)
}

type Selects = (options: FieldOptions) => boolean

function mapFields(fields: Fields, record: Json, selects: Selects, map: (value: string) => string): Json {
  const mapped: Json = { ...record }
  for (const [name, field] of Object.entries(fields))
    if (mapped[name] !== undefined) mapped[name] = mapField(field, mapped[name], selects, map)
  return mapped
}

function mapField(field: Field, value: unknown, selects: Selects, map: (value: string) => string): unknown {
  const { fields, values, elements, options } = field
  if (selects(options)) return mapStrings(value, map)
  if (fields !== undefined && isObject(value)) return mapFields(fields, value, selects, map)
  if (values !== undefined && isObject(value)) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, mapField(values, item, selects, map)]))
  }
  if (elements !== undefined && Array.isArray(value)) return value.map((item) => mapField(elements, item, selects, map))
  return value
}

function mapStrings(value: unknown, map: (value: string) => string): unknown {
  if (typeof value === 'string') return map(value)
  if (Array.isArray(value)) return value.map((item) => mapStrings(item, map))
  return isObject(value) ? Object.fromEntries(Object.entries(value).map(([key, item]) => [key, mapStrings(item, map)])) : value
}

// ------------------------------------------------------------------------------------------------------------------------------------ reference

/** A Markdown table of a record's fields, nested ones with their path: the body of a plugin's reference page. */
export function toReference(fields: Fields): string {
  const rows = referenceRows(fields, '')
  return ['| field | type | default | meaning |', '|---|---|---|---|', ...rows].join('\n')
}

function referenceRows(fields: Fields, prefix: string): string[] {
  return Object.entries(fields).flatMap(([name, field]) => {
    const path = `${prefix}${name}`
    const inner = field.fields ?? field.elements?.fields
    const below = inner === undefined ? [] : referenceRows(inner, `${path}${field.elements === undefined ? '' : '[]'}.`)
    return [`| \`${path}\` | ${typeText(field)} | ${defaultText(field)} | ${meaningText(field.options)} |`, ...below]
  })
}

function typeText(field: Field): string {
  const of = field.elements === undefined ? '' : ` of ${field.elements.kind}`
  const required = field.options.required === true ? ', required' : ''
  return `${field.kind}${of}${field.options.unit === undefined ? '' : ` (${field.options.unit})`}${required}`
}

function defaultText(field: Field): string {
  if (field.options.auto === true) return 'generated'
  return field.options.default === undefined ? '' : `\`${JSON.stringify(field.options.default)}\``
}

function meaningText(options: FieldOptions): string {
  const choices = options.oneOf === undefined ? '' : ` One of ${options.oneOf.map((choice) => `\`${String(choice)}\``).join(', ')}.`
  const flags = [
    options.encrypted === true ? 'encrypted at rest' : '',
    options.referenceable === true ? 'may be a vault reference' : '',
  ].filter(Boolean)
  const flagText = flags.length === 0 ? '' : ` (${flags.join(', ')})`
  const rfc = options.rfc === undefined ? '' : ` ${options.rfc}.`
  const notBuilt = options.notBuilt === undefined ? '' : ' **Not available yet**: only the default is accepted.'
  return `${options.description ?? ''}${choices}${rfc}${flagText}${notBuilt}`.replaceAll('|', '\\|').trim()
}
