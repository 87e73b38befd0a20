import assert from 'node:assert/strict'
import { createHash, X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import { authority, selfSigned, type TestCertificate } from '../../test/support/certificates.ts'
import { at, type Client, idOf, startAdmin } from './admin.fixture.ts'

const UNKNOWN = '11111111-1111-4111-8111-111111111111'
const NOT_FOUND = { message: 'Not found' }

const ca = authority()
const ec = selfSigned({ name: 'ec' })
const otherEc = selfSigned({ name: 'other' })
const rsa = selfSigned({ name: 'rsa', keyType: 'rsa' })

const pair = ({ cert, key }: TestCertificate) => ({ cert, key })

async function create(admin: Client, path: string, json: unknown): Promise<string> {
  const reply = await admin(`POST ${path}`, { json })
  assert.equal(reply.status, 201, reply.text)
  return idOf(reply)
}

// ------------------------------------------------------------------------------------------------------------------------------- certificates

test('a certificate shows every field, its key in clear and its snis sorted', async (t) => {
  const { admin } = await startAdmin(t)
  const reply = await admin('POST /certificates', { json: { ...pair(ec), snis: ['b.test', '*.a.test'], tags: ['x'] } })
  assert.equal(reply.status, 201, reply.text)
  const { id, created_at, updated_at, ...rest } = reply.body as Record<string, unknown>
  assert.ok(Number.isInteger(created_at) && created_at === updated_at)
  assert.deepEqual(rest, { ...pair(ec), cert_alt: null, key_alt: null, tags: ['x'], snis: ['*.a.test', 'b.test'] })
  assert.deepEqual((await admin(`GET /certificates/${id}`)).body, reply.body)
  assert.deepEqual((await admin('GET /certificates?tags=x')).body, { data: [reply.body], next: null })
  const names = at((await admin(`GET /certificates/${id}/snis`)).body, 'data') as Record<string, unknown>[]
  assert.deepEqual(names.map(({ name }) => name).sort(), ['*.a.test', 'b.test'])
  assert.deepEqual(names[0]?.['certificate'], { id })
})

test('a chain is one certificate with its issuers; a second pair is of another key type', async (t) => {
  const { admin } = await startAdmin(t)
  const leaf = ca.issue({ name: 'leaf' })
  await create(admin, '/certificates', { cert: leaf.cert + ca.cert, key: leaf.key })
  await create(admin, '/certificates', { ...pair(ec), cert_alt: rsa.cert, key_alt: rsa.key })
})

const SAME_TYPE =
  'certificate and alternative certificate need to have different type (e.g. RSA and ECDSA), the provided certificates were both of the same type'

const VIOLATIONS: readonly (readonly [rule: string, body: object, message: string])[] = [
  ['nothing', {}, '2 schema violations (cert: required field missing; key: required field missing)'],
  ['no certificate', { cert: 'x', key: ec.key }, 'schema violation (cert: invalid certificate: no start line)'],
  ['no key', { cert: ec.cert, key: 'x' }, 'schema violation (key: invalid key: unsupported)'],
  ['another key', { cert: ec.cert, key: otherEc.key }, 'schema violation (certificate does not match key)'],
  [
    'half of an alternative',
    { ...pair(ec), cert_alt: rsa.cert },
    "schema violation (all or none of these fields must be set: 'cert_alt', 'key_alt')",
  ],
  [
    'another alternative key',
    { ...pair(ec), cert_alt: rsa.cert, key_alt: ec.key },
    'schema violation (alternative certificate does not match key)',
  ],
  ['one key type', { ...pair(ec), cert_alt: otherEc.cert, key_alt: otherEc.key }, `schema violation (${SAME_TYPE})`],
  ['a bad name', { ...pair(ec), snis: ['a.test', '127.0.0.1'] }, 'schema violation (snis.2: must not be an IP)'],
  ['a name twice', { ...pair(ec), snis: ['a.test', 'a.test'] }, 'schema violation (snis: a.test is duplicated)'],
]

for (const [rule, body, message] of VIOLATIONS) {
  test(`a certificate is refused for ${rule}, without a word of its key`, async (t) => {
    const { admin } = await startAdmin(t)
    const reply = await admin('POST /certificates', { json: body })
    assert.deepEqual([reply.status, at(reply.body, 'message'), at(reply.body, 'code')], [400, message, 2])
    assert.ok(!reply.text.includes('BEGIN'), reply.text)
    assert.deepEqual((await admin('GET /certificates')).body, { data: [], next: null })
    assert.deepEqual((await admin('GET /snis')).body, { data: [], next: null })
  })
}

test('references to a vault stand for texts that nobody can check yet', async (t) => {
  const { admin } = await startAdmin(t)
  await create(admin, '/certificates', { cert: '{vault://env/cert}', key: '{vault://env/key}' })
  await create(admin, '/certificates', { cert: ec.cert, key: '{vault://env/key}' })
})

test('snis: replaced by a list, left alone by a PATCH without them, cleared by a PUT without them and by null', async (t) => {
  const { admin } = await startAdmin(t)
  const id = await create(admin, '/certificates', { ...pair(ec), snis: ['a.test', 'b.test'] })
  const before = idOf(await admin('GET /snis/b.test'))
  const snis = async (target: string, json: object) => {
    const reply = await admin(target, { json })
    assert.equal(reply.status, 200, reply.text)
    return at(reply.body, 'snis')
  }
  assert.deepEqual(await snis(`PATCH /certificates/${id}`, { tags: ['x'] }), ['a.test', 'b.test'])
  assert.deepEqual(await snis(`PATCH /certificates/${id}`, { snis: ['c.test', 'b.test'] }), ['b.test', 'c.test'])
  assert.equal(idOf(await admin('GET /snis/b.test')), before, 'a name that stays is the same entity')
  assert.equal((await admin('GET /snis/a.test')).status, 404)
  assert.deepEqual(await snis(`PATCH /certificates/${id}`, { snis: null }), [])
  assert.deepEqual(await snis(`PATCH /certificates/${id}`, { snis: ['a.test'] }), ['a.test'])
  assert.deepEqual(await snis(`PUT /certificates/${id}`, pair(ec)), [])
  const form = await admin(`PATCH /certificates/${id}`, { form: 'snis=f.test' })
  assert.deepEqual(at(form.body, 'snis'), ['f.test'])
})

test('a name of another certificate is a violation here and a conflict at /snis', async (t) => {
  const { admin } = await startAdmin(t)
  const holder = await create(admin, '/certificates', { ...pair(ec), snis: ['a.test'] })
  const reply = await admin('POST /certificates', { json: { ...pair(rsa), snis: ['a.test'] } })
  assert.deepEqual(
    [reply.status, at(reply.body, 'message')],
    [400, `schema violation (snis: a.test already associated with existing certificate '${holder}')`],
  )
  const direct = await admin('POST /snis', { json: { name: 'a.test', certificate: { id: holder } } })
  assert.deepEqual(
    [direct.status, at(direct.body, 'code'), at(direct.body, 'message')],
    [409, 5, `UNIQUE violation detected on '{name="a.test"}'`],
  )
})

test('a certificate is addressed by its id or by one of its snis, in every path', async (t) => {
  const { admin } = await startAdmin(t)
  const id = await create(admin, '/certificates', { ...pair(ec), snis: ['a.test'] })
  assert.equal(idOf(await admin('GET /certificates/a.test')), id)
  assert.equal((await admin('PATCH /certificates/a.test', { json: { tags: ['t'] } })).status, 200)
  assert.equal((await admin('POST /certificates/a.test/snis', { json: { name: 'b.test' } })).status, 201)
  assert.equal((await admin('GET /certificates/b.test/snis/a.test')).status, 200)
  assert.deepEqual(at((await admin('PUT /certificates/a.test', { json: { ...pair(rsa), snis: ['c.test'] } })).body, 'snis'), ['c.test'])
  for (const target of ['GET', 'PATCH', 'DELETE'].map((method) => `${method} /certificates/nobody.test`)) {
    const reply = await admin(target, { json: {} })
    assert.deepEqual([reply.status, reply.body], [404, { message: 'SNI not found' }], target)
  }
  assert.equal((await admin('DELETE /certificates/c.test')).status, 204)
  assert.deepEqual((await admin('GET /snis')).body, { data: [], next: null })
  assert.deepEqual(
    [(await admin(`GET /certificates/${UNKNOWN}`)).status, (await admin(`DELETE /certificates/${UNKNOWN}`)).status],
    [404, 204],
  )
})

test('PUT under a name that nobody bears makes a certificate that bears it', async (t) => {
  const { admin } = await startAdmin(t)
  const reply = await admin('PUT /certificates/new.test', { json: { ...pair(ec), snis: ['also.test'] } })
  assert.deepEqual([reply.status, at(reply.body, 'snis')], [200, ['also.test', 'new.test']])
  assert.equal(idOf(await admin('GET /certificates/also.test')), idOf(reply))
})

// --------------------------------------------------------------------------------------------------------------------------------------- snis

test('an SNI belongs to a certificate and goes with it; no path leads from it to the certificate', async (t) => {
  const { admin } = await startAdmin(t)
  const certificate = await create(admin, '/certificates', pair(ec))
  const id = await create(admin, '/snis', { name: '*.a.test', certificate: { id: certificate } })
  assert.equal(idOf(await admin('GET /snis/*.a.test')), id)
  assert.equal((await admin(`GET /snis/${id}/certificate`)).status, 404)
  const missing = await admin('POST /snis', { json: { name: 'b.test' } })
  assert.equal(at(missing.body, 'message'), 'schema violation (certificate: required field missing)')
  const nobody = await admin('POST /snis', { json: { name: 'b.test', certificate: { id: UNKNOWN } } })
  assert.deepEqual(
    [nobody.status, at(nobody.body, 'message')],
    [400, `the foreign key '{id="${UNKNOWN}"}' does not reference an existing 'certificates' entity.`],
  )
  for (const [name, text] of [
    ['10.0.0.1', 'must not be an IP'],
    ['a.test:443', 'must not have a port'],
    ['a.*.test', 'wildcard must be leftmost or rightmost character'],
  ] as const) {
    const reply = await admin('POST /snis', { json: { name, certificate: { id: certificate } } })
    assert.deepEqual([reply.status, at(reply.body, 'fields')], [400, { name: text }], name)
  }
  assert.equal((await admin(`DELETE /certificates/${certificate}`)).status, 204)
  assert.equal((await admin(`GET /snis/${id}`)).status, 404)
})

// ------------------------------------------------------------------------------------------------------------------------------ CA certificates

test('the digest of a CA certificate is that of its DER form, whatever is given, and unique', async (t) => {
  const { admin } = await startAdmin(t)
  const digest = createHash('sha256').update(new X509Certificate(ca.cert).raw).digest('hex')
  const reply = await admin('POST /ca_certificates', { json: { cert: ca.cert, cert_digest: 'mine' } })
  assert.deepEqual([reply.status, at(reply.body, 'cert_digest')], [201, digest])
  const again = await admin('POST /ca_certificates', { json: { cert: `# a comment\n${ca.cert}` } })
  assert.deepEqual([again.status, at(again.body, 'message')], [409, `UNIQUE violation detected on '{cert_digest="${digest}"}'`])
  const foo = await admin('GET /ca_certificates/foo')
  assert.deepEqual(
    [foo.status, at(foo.body, 'code'), at(foo.body, 'message')],
    [400, 1, `invalid primary key: '{id="expected a valid UUID"}'`],
  )
  const changed = await admin(`PATCH /ca_certificates/${idOf(reply)}`, { json: { cert: authority('New').cert } })
  assert.notEqual(at(changed.body, 'cert_digest'), digest)
})

test('a CA certificate is one certificate, of an authority, and has not expired', async (t) => {
  const { admin } = await startAdmin(t)
  for (const [cert, text] of [
    [ca.cert + authority().cert, 'please submit only one certificate at a time'],
    [authority('Old', { validDays: [-10, -1] }).cert, 'certificate expired, "Not After" time is in the past'],
    [ec.cert, 'certificate does not appear to be a CA because it is missing the "CA" basic constraint'],
  ] as const) {
    const reply = await admin('POST /ca_certificates', { json: { cert } })
    assert.deepEqual([reply.status, at(reply.body, 'message')], [400, `schema violation (${text})`])
  }
})

// ----------------------------------------------------------------------------------------------------------------------------------- services

test('a service names its client certificate and its authorities, and keeps both from being deleted', async (t) => {
  const { admin } = await startAdmin(t)
  const certificate = await create(admin, '/certificates', { ...pair(ec), snis: ['a.test'] })
  const trusted = await create(admin, '/ca_certificates', { cert: ca.cert })
  const id = await create(admin, '/services', {
    url: 'https://h.test',
    client_certificate: { id: certificate },
    ca_certificates: [trusted.toUpperCase()],
    tls_verify: true,
    tls_verify_depth: 2,
  })
  assert.equal(idOf(await admin(`GET /services/${id}/client_certificate`)), certificate)
  assert.deepEqual(at((await admin('GET /certificates/a.test/services')).body, 'data', 0, 'id'), id)

  const used = await admin(`DELETE /certificates/${certificate}`)
  assert.deepEqual(
    [used.status, used.body],
    [
      400,
      {
        message: "an existing 'services' entity references this 'certificates' entity",
        name: 'foreign key violation',
        code: 4,
        fields: { '@referenced_by': 'services' },
      },
    ],
  )
  assert.equal((await admin('GET /snis/a.test')).status, 200, 'a refused deletion changes nothing')
  const listed = await admin(`DELETE /ca_certificates/${trusted}`)
  assert.deepEqual(
    [listed.status, listed.body],
    [400, { message: `ca certificate ${trusted} is still referenced by services (id = ${id})`, name: 'referenced by others', code: 19 }],
  )

  const unknown = await admin('POST /services', { json: { url: 'https://h', client_certificate: { id: UNKNOWN } } })
  assert.deepEqual([unknown.status, at(unknown.body, 'code')], [400, 4])
  assert.equal((await admin(`DELETE /services/${id}`)).status, 204)
  assert.equal((await admin(`DELETE /certificates/${certificate}`)).status, 204)
  assert.equal((await admin(`DELETE /ca_certificates/${trusted}`)).status, 204)
})

test('schemas: shown, and a body is judged by them', async (t) => {
  const { admin } = await startAdmin(t)
  const { body } = await admin('GET /schemas/certificates')
  const fields = at(body, 'fields') as Record<string, Record<string, unknown>>[]
  assert.deepEqual(
    fields.map((field) => Object.keys(field)[0]),
    ['id', 'created_at', 'updated_at', 'cert', 'key', 'cert_alt', 'key_alt', 'tags', 'snis'],
  )
  assert.deepEqual(fields.find((field) => 'key' in field)?.['key'], {
    type: 'string',
    required: true,
    referenceable: true,
    encrypted: true,
  })
  assert.equal((await admin('POST /schemas/certificates/validate', { json: { ...pair(ec), snis: ['a.test'] } })).status, 200)
  assert.equal((await admin('POST /schemas/ca_certificates/validate', { json: { cert: ec.cert } })).status, 400)
  assert.equal((await admin('GET /schemas/snis')).status, 200)
})

test('without a database nothing is written one by one, and what is wrong is said first', async (t) => {
  const { admin } = await startAdmin(t, { kind: 'off' })
  const loaded = await admin('POST /config', { json: { _format_version: '3.0', certificates: [{ ...pair(ec), snis: ['a.test'] }] } })
  assert.equal(loaded.status, 201, loaded.text)
  assert.deepEqual(at((await admin('GET /certificates/a.test')).body, 'snis'), ['a.test'])
  const refused = await admin('POST /certificates', { json: pair(rsa) })
  assert.deepEqual([refused.status, at(refused.body, 'message')], [405, "cannot create 'certificates' entities when not using a database"])
  assert.equal((await admin('POST /certificates', { json: { ...pair(rsa), snis: ['a.test'] } })).status, 400)
  assert.deepEqual((await admin(`GET /ca_certificates/${UNKNOWN}`)).body, NOT_FOUND)
  const faulty = { _format_version: '3.0', certificates: [{ cert: ec.cert, key: rsa.key }] }
  const flat = await admin('POST /config?flatten_errors=1', { json: faulty })
  assert.equal(flat.status, 400)
  assert.deepEqual(at(flat.body, 'flattened_errors', 0, 'entity'), { cert: ec.cert, key: '***' })
  assert.ok(!flat.text.includes('PRIVATE KEY'))
})
