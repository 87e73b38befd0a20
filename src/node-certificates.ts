/** The node's own certificates: those that the settings name, or a pair of its own in `ssl/` of the prefix, as Kong makes it. */
import { join } from 'node:path'
import { readCertificate } from './config/setting.ts'
import type { Settings } from './config/settings.ts'
import { readFileIfPresent, replaceFile } from './db/durable-file.ts'
import { belongTogether, type CertificatePair } from './proxy/certificates.ts'
import { createSelfSigned } from './util/self-signed.ts'

/** Kinds of listeners that have certificates of their own. */
export type TlsListeners = 'proxy' | 'admin' | 'status'

const SOURCES = {
  proxy: { listen: 'proxy_listen', cert: 'ssl_cert', key: 'ssl_cert_key', file: 'kong-default' },
  admin: { listen: 'admin_listen', cert: 'admin_ssl_cert', key: 'admin_ssl_cert_key', file: 'admin-kong-default' },
  status: { listen: 'status_listen', cert: 'status_ssl_cert', key: 'status_ssl_cert_key', file: 'status-kong-default' },
} as const

/** Kong's twenty years: nobody renews what was made without being asked for. */
const DAYS = 7300

/**
 * Certificates of one kind of listener, read anew at each call; made and kept where the settings name none. Empty where nothing of that kind listens with TLS.
 *
 * @throws the system's error when a file cannot be read or written
 */
export async function nodeCertificates(listeners: TlsListeners, settings: Settings): Promise<readonly CertificatePair[]> {
  const { listen, cert, key, file } = SOURCES[listeners]
  if (!settings[listen].some(({ ssl }) => ssl)) return []
  const keys = settings[key]
  if (settings[cert].length > 0) {
    return settings[cert].map((source, index) => ({
      cert: readCertificate(source),
      key: readCertificate(keys[index]?.reveal() ?? ''),
    }))
  }
  const folder = join(settings.prefix, 'ssl')
  return await Promise.all([keepDefault(join(folder, file), 'rsa'), keepDefault(join(folder, `${file}-ecdsa`), 'ecdsa')])
}

/** What an interrupted start left half behind, or somebody broke, is made anew. */
async function keepDefault(path: string, kind: 'rsa' | 'ecdsa'): Promise<CertificatePair> {
  const [cert, key] = await Promise.all([readFileIfPresent(`${path}.crt`), readFileIfPresent(`${path}.key`)])
  if (cert !== null && key !== null && isWhole({ cert, key })) return { cert, key }
  const made = await createSelfSigned({ kind, commonName: 'localhost', addresses: ['127.0.0.1'], days: DAYS })
  await replaceFile(`${path}.key`, made.key)
  await replaceFile(`${path}.crt`, made.cert)
  return made
}

function isWhole(pair: CertificatePair): boolean {
  try {
    return belongTogether(pair)
  } catch {
    return false
  }
}
