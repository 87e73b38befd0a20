import { field } from '../schema/field.ts'
import type { EntitySchema } from '../schema/schema.ts'
import { createdAtField, idField, tagsField, updatedAtField } from './fields.ts'
import { wildcardHost } from './validators.ts'

/** A server name that clients ask for, and the certificate that they are shown. */
export const snis = {
  name: 'snis',
  apiPath: 'snis',
  endpointKey: 'name',
  cacheKey: null,
  fields: {
    id: idField,
    name: field.string({ required: true, unique: true, validator: wildcardHost }),
    created_at: createdAtField,
    updated_at: updatedAtField,
    tags: tagsField,
    certificate: field.foreign('certificates', { required: true, onDelete: 'cascade' }),
  },
} satisfies EntitySchema
