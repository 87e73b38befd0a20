import assert from 'node:assert/strict'
import test from 'node:test'
import type { TextCheck } from './validators.ts'
import {
  headerName,
  host,
  hostWithOptionalPort,
  ipOrCidr,
  path,
  routeHost,
  routerPath,
  tag,
  utf8Name,
  utf8Text,
  wildcardHost,
} from './validators.ts'

function accepts(check: TextCheck, ...values: readonly string[]): void {
  for (const value of values) assert.equal(check(value), undefined, JSON.stringify(value))
}

function refuses(check: TextCheck, cases: Readonly<Record<string, string>>): void {
  for (const [value, text] of Object.entries(cases)) assert.equal(check(value), text, JSON.stringify(value))
}

test('a name has letters, digits, . - _ ~ and anything beyond ASCII', () => {
  accepts(utf8Name, 'svc-1.a_b~', 'größe', '名前', '🦄')
  refuses(utf8Name, {
    'a b': "invalid value 'a b': the only accepted ascii characters are alphanumerics or ., -, _, and ~",
    'a/b': "invalid value 'a/b': the only accepted ascii characters are alphanumerics or ., -, _, and ~",
    'ü\ud800': 'invalid utf-8 character sequence detected at position 3',
  })
})

test('a text with a lone surrogate is refused at its byte position', () => {
  accepts(utf8Text, 'bob @home/x', '🦄')
  refuses(utf8Text, {
    '\udc00': 'invalid utf-8 character sequence detected at position 1',
    '🦄\ud83e': 'invalid utf-8 character sequence detected at position 5',
  })
})

test('a tag is printable, without comma and slash', () => {
  accepts(tag, 'a b', 'team:blue', '~é')
  refuses(tag, {
    'a,b': "invalid tag 'a,b': expected printable ascii (except `,` and `/`) or valid utf-8 sequences",
    'a/b': "invalid tag 'a/b': expected printable ascii (except `,` and `/`) or valid utf-8 sequences",
    'a\n': "invalid tag 'a\n': expected printable ascii (except `,` and `/`) or valid utf-8 sequences",
  })
})

test('a host is a name or an address without a port', () => {
  accepts(host, 'example.com', 'example.com.', 'my_host', '10.0.0.1', '::1', '[::1]', 'localhost')
  refuses(host, {
    'example.com:80': 'must not have a port',
    '[::1]:80': 'must not have a port',
    'a..b': 'invalid value: a..b',
    'a-.b': 'invalid value: a-.b',
    '1.2.3': 'invalid value: 1.2.3',
    '256.0.0.1': 'invalid value: 256.0.0.1',
    'fe80::1%eth0': 'invalid value: fe80::1%eth0',
    'a b': 'invalid value: a b',
    '.': 'invalid value: .',
    'h:x': 'invalid value: h:x',
  })
})

test('a host may have a port where one is allowed', () => {
  accepts(hostWithOptionalPort, 'a:80', '1.2.3.4:65535', '[::1]:443')
  refuses(hostWithOptionalPort, { 'a:65536': 'invalid port number', 'a b': 'invalid hostname: a b' })
})

test('a server name has at most one wildcard, at an end, no address and no port', () => {
  accepts(wildcardHost, 'a.b', '*.b', 'a.*')
  refuses(wildcardHost, {
    'a.*.b': 'wildcard must be leftmost or rightmost character',
    '*.a.*': 'only one wildcard must be specified',
    '10.0.0.1': 'must not be an IP',
    'a.b:1': 'must not have a port',
    'a b': 'invalid value: a b',
  })
})

test('the wildcard of a route host is a whole label at either end', () => {
  accepts(routeHost, 'a.b', '*.b', 'a.*', '*.b:80', 'a.*:80', '10.0.0.1:80')
  refuses(routeHost, {
    '*.a.*': 'invalid wildcard: must have at most one wildcard',
    'a*.b': 'invalid wildcard: must be placed at leftmost or rightmost label',
    'a.*.b': 'invalid wildcard: must be placed at leftmost or rightmost label',
    '*b': 'invalid wildcard: must be placed at leftmost or rightmost label',
    '*.a b': 'invalid hostname: *.a b',
    'a:99999': 'invalid port number',
  })
})

test('the path of a service holds what RFC 3986 allows', () => {
  accepts(path, '/', '/a/b', "/a%20b;c=d,e!$&'()*+:@~")
  refuses(path, {
    '/a b': "invalid path: '/a b' (characters outside of the reserved list of RFC 3986 found)",
    '/a?b': "invalid path: '/a?b' (characters outside of the reserved list of RFC 3986 found)",
    '/a%2': "invalid url-encoded value: '%2'",
    '/a%zzb': "invalid url-encoded value: '%zz'",
  })
})

test('the path of a route is a prefix in normal form, or an expression that the linear-time engine compiles', () => {
  accepts(routerPath, '/', '/a/b', '/a b', '/café', '/a%2Fb', '~/a/(?<id>\\d+)$', '~/[a-z]+//x')
  refuses(routerPath, {
    a: 'should start with: / (fixed path) or ~/ (regex path)',
    '~a': 'should start with: / (fixed path) or ~/ (regex path)',
    '/a//b': 'must not have empty segments',
    '/a%2': "invalid url-encoded value: '%2'",
    '/%41/..': "non-normalized path, consider use '/' instead",
    '/a%2fb': "non-normalized path, consider use '/a%2Fb' instead",
    '~/a(b': "invalid regex: '/a(b' (PCRE returned: missing closing ): `/a(b`)",
    '~/(?=a)': "invalid regex: '/(?=a)' (PCRE returned: invalid or unsupported Perl syntax: `(?=`)",
  })
})

test('a header name has letters, digits, _ and -', () => {
  accepts(headerName, 'X-Test_1')
  refuses(headerName, { '': 'no header name provided', 'a b': "bad header name 'a b', allowed characters are A-Z, a-z, 0-9, '_', and '-'" })
})

test('an address or a range', () => {
  accepts(ipOrCidr, '10.0.0.1', '10.0.0.0/8', '::1', 'fd00::/8')
  for (const bad of ['10.0.0.0/33', '::/129', 'a', '1.2.3', '10.0.0.1/', '10.0.0.1/8/8', 'fe80::1%eth0'])
    assert.equal(ipOrCidr(bad), `invalid ip or cidr range: '${bad}'`)
})
