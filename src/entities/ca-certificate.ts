import { createHash } from 'node:crypto'
import { field } from '../schema/field.ts'
import type { EntitySchema } from '../schema/schema.ts'
import { certificatesIn, certificateViolation } from '../util/pem.ts'
import { createdAtField, idField, tagsField, updatedAtField } from './fields.ts'

/** An authority that Services may trust. */
export const caCertificates = {
  name: 'ca_certificates',
  apiPath: 'ca_certificates',
  endpointKey: null,
  cacheKey: null,
  fields: {
    id: idField,
    created_at: createdAtField,
    updated_at: updatedAtField,
    cert: field.string({ required: true, validator: certificateViolation }),
    cert_digest: field.string({ unique: true }),
    tags: tagsField,
  },
  checks: [
    {
      kind: 'custom',
      fields: ['cert'],
      run: ({ cert }) => {
        const text = typeof cert === 'string' ? authorityViolation(cert) : undefined
        return text === undefined ? undefined : { '@entity': [text] }
      },
    },
  ],
  derive: ({ cert }) => ({ cert_digest: digestOf(String(cert)) }),
} satisfies EntitySchema

function authorityViolation(cert: string): string | undefined {
  const [authority, ...others] = certificatesIn(cert)
  if (others.length > 0) return 'please submit only one certificate at a time'
  if (authority === undefined || authority.validToDate.getTime() < Date.now()) {
    return 'certificate expired, "Not After" time is in the past'
  }
  return authority.ca ? undefined : 'certificate does not appear to be a CA because it is missing the "CA" basic constraint'
}

/** SHA-256 of the DER form: the same certificate in another spelling is the same. */
function digestOf(cert: string): string {
  const [authority] = certificatesIn(cert)
  return createHash('sha256')
    .update(authority?.raw ?? cert)
    .digest('hex')
}
