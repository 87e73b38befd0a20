import type { Check } from '../schema/field.ts'
import { field } from '../schema/field.ts'
import type { EntitySchema } from '../schema/schema.ts'
import { certificateViolation, haveSameKeyType, pairViolation, privateKeyViolation } from '../util/pem.ts'
import { createdAtField, idField, tagsField, updatedAtField } from './fields.ts'
import { wildcardHost } from './validators.ts'

const SAME_TYPE =
  'certificate and alternative certificate need to have different type (e.g. RSA and ECDSA), the provided certificates were both of the same type'

/** A rule for two texts, as long as both are there. */
function pairCheck(first: string, second: string, violationOf: (first: string, second: string) => string | undefined): Check {
  return {
    kind: 'custom',
    fields: [first, second],
    run: ({ [first]: one, [second]: other }) => {
      const text = typeof one === 'string' && typeof other === 'string' ? violationOf(one, other) : undefined
      return text === undefined ? undefined : { '@entity': [text] }
    },
  }
}

/** A certificate with its key, and maybe a second pair of another key type. `snis` are entities of their own, written and shown here as names. */
export const certificates = {
  name: 'certificates',
  apiPath: 'certificates',
  endpointKey: null,
  cacheKey: null,
  fields: {
    id: idField,
    created_at: createdAtField,
    updated_at: updatedAtField,
    cert: field.string({ required: true, referenceable: true, validator: certificateViolation }),
    key: field.string({ required: true, referenceable: true, encrypted: true, validator: privateKeyViolation }),
    cert_alt: field.string({ referenceable: true, validator: certificateViolation }),
    key_alt: field.string({ referenceable: true, encrypted: true, validator: privateKeyViolation }),
    tags: tagsField,
    snis: field.array({ transient: true, elements: field.string({ validator: wildcardHost }) }),
  },
  checks: [
    { kind: 'mutually_required', fields: ['cert_alt', 'key_alt'] },
    pairCheck('cert', 'key', (cert, key) => pairViolation(cert, key, 'certificate does not match key')),
    pairCheck('cert_alt', 'key_alt', (cert, key) => pairViolation(cert, key, 'alternative certificate does not match key')),
    pairCheck('cert', 'cert_alt', (cert, other) => (haveSameKeyType(cert, other) ? SAME_TYPE : undefined)),
  ],
  childList: { field: 'snis', children: 'snis', parentField: 'certificate' },
} satisfies EntitySchema
