import { constants } from 'node:crypto'
import { createSecureContext, type SecureVersion } from 'node:tls'
import type { Settings } from './settings.ts'

/** What all TLS contexts of our listeners have in common, whatever their certificate; can be sent in a message. */
export interface TlsProfile {
  readonly minVersion: SecureVersion
  readonly maxVersion: SecureVersion
  /** OpenSSL's list; absent for its default. */
  readonly ciphers?: string
  readonly honorCipherOrder: boolean
  /** OpenSSL's `SSL_OP_*` bits. */
  readonly secureOptions: number
  /** Seconds. */
  readonly sessionTimeout: number
  /** The group of a finite-field exchange follows the size of the certificate's key. */
  readonly dhparam: 'auto'
}

/** The settings that make a profile. */
export type TlsProfileSettings = Pick<
  Settings,
  'ssl_cipher_suite' | 'ssl_ciphers' | 'ssl_protocols' | 'ssl_prefer_server_ciphers' | 'ssl_session_tickets' | 'ssl_session_timeout'
>

type Version = TlsProfileSettings['ssl_protocols'][number]

interface Suite {
  readonly protocols: readonly Version[]
  readonly ciphers: string | null
  readonly ours: boolean
}

const FORWARD_SECRET = [
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
  'DHE-RSA-AES128-GCM-SHA256',
  'DHE-RSA-AES256-GCM-SHA384',
  'DHE-RSA-CHACHA20-POLY1305',
]

const OLD = [
  'ECDHE-ECDSA-AES128-SHA256',
  'ECDHE-RSA-AES128-SHA256',
  'ECDHE-ECDSA-AES128-SHA',
  'ECDHE-RSA-AES128-SHA',
  'ECDHE-ECDSA-AES256-SHA384',
  'ECDHE-RSA-AES256-SHA384',
  'ECDHE-ECDSA-AES256-SHA',
  'ECDHE-RSA-AES256-SHA',
  'DHE-RSA-AES128-SHA256',
  'DHE-RSA-AES256-SHA256',
  'AES128-GCM-SHA256',
  'AES256-GCM-SHA384',
  'AES128-SHA256',
  'AES256-SHA256',
  'AES128-SHA',
  'AES256-SHA',
  'DES-CBC3-SHA',
]

/** Mozilla's server-side recommendations, version 5.7, which Kong's words stand for. Ciphers of TLS 1.3 are not configured. */
const SUITES: Readonly<Record<'modern' | 'intermediate' | 'old', Suite>> = {
  modern: { protocols: ['TLSv1.3'], ciphers: null, ours: false },
  intermediate: { protocols: ['TLSv1.2', 'TLSv1.3'], ciphers: FORWARD_SECRET.join(':'), ours: false },
  // OpenSSL allows TLS before 1.2 at its security level 0 only.
  old: {
    protocols: ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'],
    ciphers: [...FORWARD_SECRET, ...OLD, '@SECLEVEL=0'].join(':'),
    ours: true,
  },
}

/** Each version in order, with the bit that forbids it. */
const VERSIONS: readonly (readonly [Version, number])[] = [
  ['TLSv1', constants.SSL_OP_NO_TLSv1],
  ['TLSv1.1', constants.SSL_OP_NO_TLSv1_1],
  ['TLSv1.2', constants.SSL_OP_NO_TLSv1_2],
  ['TLSv1.3', constants.SSL_OP_NO_TLSv1_3],
]

/** What the settings ask of every TLS context of the listeners. Early data (RFC 8470) is never accepted. */
export function tlsProfile(settings: TlsProfileSettings): TlsProfile {
  const { protocols, ciphers, ours } = suiteOf(settings)
  const offered = VERSIONS.filter(([version]) => protocols.includes(version)).map(([version]) => version)
  const forbidden = VERSIONS.filter(([version]) => !protocols.includes(version)).map(([, bit]) => bit)
  // A handshake inside a connection costs us much more than the client, and nobody needs it.
  const options = [constants.SSL_OP_NO_RENEGOTIATION, ...forbidden, ...(settings.ssl_session_tickets ? [] : [constants.SSL_OP_NO_TICKET])]
  return {
    minVersion: offered[0] ?? 'TLSv1.2',
    maxVersion: offered.at(-1) ?? 'TLSv1.3',
    ...(ciphers === null ? {} : { ciphers }),
    honorCipherOrder: ours,
    secureOptions: options.reduce((bits, bit) => bits | bit, 0),
    sessionTimeout: Math.max(1, Math.floor(settings.ssl_session_timeout / 1000)),
    dhparam: 'auto',
  }
}

/** What is wrong with the TLS settings apart from certificates, one text each. */
export function checkTlsProfile(settings: TlsProfileSettings): string[] {
  if (settings.ssl_cipher_suite === 'fips') {
    return [
      'ssl_cipher_suite = fips is not available: the OpenSSL of the runtime is not a validated module; use modern, intermediate, old or custom',
    ]
  }
  if (settings.ssl_cipher_suite !== 'custom') return []
  try {
    createSecureContext(tlsProfile(settings))
    return []
  } catch {
    return [`ssl_ciphers: OpenSSL knows no cipher in '${settings.ssl_ciphers ?? ''}'`]
  }
}

function suiteOf(settings: TlsProfileSettings): Suite {
  const { ssl_cipher_suite: name } = settings
  if (name === 'modern' || name === 'intermediate' || name === 'old') return SUITES[name]
  return { protocols: settings.ssl_protocols, ciphers: settings.ssl_ciphers, ours: settings.ssl_prefer_server_ciphers }
}
