/**
 * Field builders. A schema is a value made of these; its TypeScript type, validation, Admin API shape, form inference, database columns and reference
 * documentation are all read from it (`Infer`, validate.ts, infer.ts, project.ts).
 *
 * Vocabulary is Kong's: a field that is not `required` may be null, and an explicit null is kept even where a default exists; only an absent field takes
 * its default.
 */

/** The types of Kong's schema language that this gateway uses. */
export type FieldKind = 'string' | 'integer' | 'number' | 'boolean' | 'array' | 'set' | 'map' | 'record' | 'foreign'

/** A pattern with the text to answer when it does not hold (`match`) or does (`matchNone`). Without `err` the text is `invalid value: <v>`. */
export interface PatternRule {
  readonly pattern: RegExp
  readonly err?: string
}

/** Attributes common to all kinds. Order of checks: {@link validateField} in validate.ts. */
export interface FieldOptions<T = unknown> {
  readonly required?: boolean
  readonly default?: T
  /** Filled by the gateway: a UUID, a timestamp (with `uuid`, `timestamp`), or a random string. */
  readonly auto?: boolean
  readonly uuid?: boolean
  readonly timestamp?: boolean
  readonly unique?: boolean
  /** Accepts a `{vault://…}` reference, which skips every other check. */
  readonly referenceable?: boolean
  /** Lies encrypted in the database; never shown in logs, errors, traces or metrics. */
  readonly encrypted?: boolean
  readonly oneOf?: readonly T[]
  readonly notOneOf?: readonly T[]
  readonly eq?: T | null
  readonly ne?: T
  readonly gt?: number
  readonly between?: readonly [number, number]
  readonly lenMin?: number
  readonly lenMax?: number
  readonly startsWith?: string
  readonly notMatch?: RegExp
  readonly match?: RegExp
  readonly matchNone?: readonly PatternRule[]
  readonly matchAll?: readonly PatternRule[]
  /** The text that replaces every text of this field's own checks. */
  readonly err?: string
  /** A rule that the attributes above cannot say. Returns the text of the violation, or undefined. */
  validator?(value: T): string | undefined
  readonly mutuallyExclusiveSubsets?: readonly (readonly string[])[]
  /**
   * The behaviour behind this field is not there yet: any value but null and the default is refused with this text, so that nothing is ever silently
   * ignored.
   */
  readonly notBuilt?: string
  /** Checked, and then not stored: it stands for something else (`childList` of the schema). */
  readonly transient?: boolean
  /** The list holds ids of these entities, of which none can be deleted as long as it stands here; whether they exist is not asked. */
  readonly idsOf?: string
  readonly unit?: string
  readonly rfc?: string
  readonly description?: string
}

/** One field of a schema. `T` is the TypeScript type of a stored value. */
export interface Field<T = unknown> {
  readonly kind: FieldKind
  readonly options: FieldOptions
  readonly elements?: Field
  readonly keys?: Field
  readonly values?: Field
  readonly fields?: Fields
  readonly shorthands?: Shorthands
  readonly checks?: readonly Check[]
  readonly reference?: string
  readonly onDelete?: 'cascade' | 'restrict'
  /** Carries `T` for {@link Infer}; never set. */
  readonly type?: T
}

/** Fields in the order of the schema. */
export type Fields = Readonly<Record<string, Field>>

/** What a shorthand wrote: values for real fields, or a violation. */
export type ShorthandResult = { readonly values: Readonly<Record<string, unknown>> } | { readonly violations: Violations }

/** An input-only field that is translated to others and then forgotten (`url` of a Service). */
export interface Shorthand {
  readonly field: Field
  /**
   * Called only when the input holds the shorthand and its own type is right. `input` is the record that it stands in, without the shorthand, and with what
   * earlier shorthands wrote.
   */
  readonly expand: (value: unknown, input: Readonly<Record<string, unknown>>) => ShorthandResult
  /** Where the value lives now; echoed in answers and named in `GET /schemas` so that clients can reconcile both names. */
  readonly replacedWith?: readonly (readonly string[])[]
  /** Value echoed in Admin API answers, for shorthands that Kong echoes. */
  readonly echo?: (record: Readonly<Record<string, unknown>>) => unknown
  readonly deprecation?: { readonly message: string; readonly removalInVersion: string }
}
export type Shorthands = Readonly<Record<string, Shorthand>>

/** Violations of a record, mirroring the input: a text, a nested record, or a list aligned with the input's list. */
export interface Violations {
  [field: string]: Violation
}
export type Violation = string | Violations | readonly (Violation | null)[]

/** A condition on a field's value, as `conditional` checks use it. */
export interface Condition {
  readonly eq?: unknown
  readonly ne?: unknown
  readonly oneOf?: readonly unknown[]
  readonly notOneOf?: readonly unknown[]
  readonly required?: boolean
}

/** Rules that look at several fields at once; their texts are Kong's. */
export type Check =
  | { readonly kind: 'at_least_one_of'; readonly fields: readonly string[] }
  | { readonly kind: 'only_one_of'; readonly fields: readonly string[] }
  | { readonly kind: 'mutually_exclusive'; readonly fields: readonly string[] }
  | { readonly kind: 'mutually_required'; readonly fields: readonly string[] }
  | {
      readonly kind: 'conditional'
      readonly ifField: string
      readonly ifMatch: Condition
      readonly thenField: string
      readonly thenMatch: Condition
      readonly thenErr?: string
    }
  | {
      readonly kind: 'custom'
      /** Fields whose own error, or vault reference, makes the check pointless. */
      readonly fields: readonly string[]
      readonly run: (record: Readonly<Record<string, unknown>>) => Violations | undefined
    }

type Nullable<O, T> = O extends { readonly required: true } ? T : T | null
type Choice<O, T> = O extends { readonly oneOf: readonly (infer U)[] } ? U : T
type FieldsType<F extends Fields> = { [K in keyof F]: TypeOf<F[K]> }
type TypeOf<F> = F extends Field<infer T> ? T : never

/** The TypeScript type of a field's or a schema's stored value. */
export type Infer<S> = S extends Field<infer T> ? T : S extends { readonly fields: infer F extends Fields } ? FieldsType<F> : never

type Options<T> = FieldOptions<T>

function scalar<T>(kind: FieldKind) {
  return <const O extends Options<T>>(options: O = {} as O): Field<Nullable<O, Choice<O, T>>> => ({ kind, options: options })
}

/** The element type of a list. */
export interface ElementsOption<E extends Field> {
  readonly elements: E
}
type ListOptions<E extends Field> = Options<readonly NonNullable<TypeOf<E>>[]> & ElementsOption<E>

function list(kind: 'array' | 'set') {
  return <E extends Field, const O extends ListOptions<E>>(
    options: O & ElementsOption<E>,
  ): Field<Nullable<O, NonNullable<TypeOf<E>>[]>> => {
    const { elements, ...rest }: FieldOptions & ElementsOption<E> = options
    return { kind, elements, options: rest }
  }
}

/** Key and value types of a map. */
export interface MapOption<K extends Field, V extends Field> {
  readonly keys: K
  readonly values: V
}

/** What a record is made of. */
export interface RecordOption<F extends Fields> {
  readonly fields: F
  readonly shorthands?: Shorthands
  readonly checks?: readonly Check[]
}

/** The builders. `field.string({ required: true })` is a `Field<string>`, `field.string({})` a `Field<string | null>`. */
export const field = {
  string: scalar<string>('string'),
  integer: scalar<number>('integer'),
  number: scalar<number>('number'),
  boolean: scalar<boolean>('boolean'),
  array: list('array'),
  set: list('set'),

  map<K extends Field, V extends Field, const O extends Options<Readonly<Record<string, NonNullable<TypeOf<V>>>>>>(
    options: O & MapOption<K, V>,
  ): Field<Nullable<O, Record<string, NonNullable<TypeOf<V>>>>> {
    const { keys, values, ...rest }: FieldOptions & MapOption<K, V> = options
    return { kind: 'map', keys, values, options: rest }
  },

  record<F extends Fields, const O extends Options<never>>(options: O & RecordOption<F>): Field<Nullable<O, FieldsType<F>>> {
    const { fields, shorthands, checks, ...rest }: FieldOptions & RecordOption<F> = options
    return {
      kind: 'record',
      fields,
      ...(shorthands === undefined ? {} : { shorthands }),
      ...(checks === undefined ? {} : { checks }),
      options: rest,
    }
  },

  /** A reference to another entity; stored and shown as `{ id }` or null. */
  foreign<const O extends Options<never>>(
    reference: string,
    options: O & { readonly onDelete?: 'cascade' | 'restrict' } = {} as O,
  ): Field<Nullable<O, { id: string }>> {
    const { onDelete = 'restrict', ...rest }: FieldOptions & { readonly onDelete?: 'cascade' | 'restrict' } = options
    return { kind: 'foreign', reference, onDelete, options: rest }
  },

  /** An absolute http(s) URL with a host (Kong's `url` type). */
  url<const O extends Options<string>>(options: O = {} as O): Field<Nullable<O, string>> {
    return field.string({ validator: urlViolation, ...options }) as Field<Nullable<O, string>>
  },

  /** A UUID as text. */
  uuid<const O extends Options<string>>(options: O = {} as O): Field<Nullable<O, string>> {
    return field.string({ uuid: true, ...options }) as Field<Nullable<O, string>>
  },
} as const

function urlViolation(value: string): string | undefined {
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):\/\//.exec(value)
  if (scheme === null) return 'missing scheme in url'
  if (!URL.canParse(value)) return value.length === scheme[0].length ? 'missing host in url' : `could not parse url. ${value}`
  return new URL(value).host === '' ? 'missing host in url' : undefined
}

/**
 * Text of the `{vault://…}` reference syntax: the whole value, with a vault name and a resource. Wider than what can be resolved (config/vault-reference.ts):
 * a reference with a mistake in it is still one, so that it fails when it is resolved instead of being used as the secret.
 */
export function isVaultReference(value: unknown): value is string {
  return typeof value === 'string' && /^\{vault:\/\/[^/}]+\/[^}]+\}$/.test(value)
}
