import { certificates } from '../entities/index.ts'
import { isVaultReference } from '../schema/field.ts'
import { resolveReferences } from '../schema/project.ts'
import type { CertificateEntity, Frame } from './snapshot.ts'

/**
 * The frame with the texts of Certificates in the place of their vault references, which only a node that proxies resolves.
 *
 * @param resolve the value of a reference, or '' where there is none
 */
export function resolveFrame(frame: Frame, resolve: (reference: string) => string): Frame {
  return { ...frame, certificates: frame.certificates.map((entity) => resolved(entity, resolve)) }
}

function resolved(entity: CertificateEntity, resolve: (reference: string) => string): CertificateEntity {
  if (!Object.values(entity).some(isVaultReference)) return entity
  return { ...entity, ...resolveReferences(certificates.fields, entity, resolve) }
}
