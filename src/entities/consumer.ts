import { field } from '../schema/field.ts'
import type { EntitySchema } from '../schema/schema.ts'
import { createdAtField, idField, tagsField, updatedAtField } from './fields.ts'
import { utf8Text } from './validators.ts'

/** A Consumer: whom a token or a credential stands for. A username may hold any character. */
export const consumers = {
  name: 'consumers',
  apiPath: 'consumers',
  endpointKey: 'username',
  cacheKey: null,
  fields: {
    id: idField,
    created_at: createdAtField,
    updated_at: updatedAtField,
    username: field.string({ unique: true, validator: utf8Text }),
    custom_id: field.string({ unique: true, validator: utf8Text }),
    tags: tagsField,
  },
  checks: [{ kind: 'at_least_one_of', fields: ['custom_id', 'username'] }],
} satisfies EntitySchema
