import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseConfFile } from './conf-file.ts'
import { displaySettings, toConfExample, toReference } from './display.ts'
import { loadSettings } from './load.ts'
import { isSettingName, SECTIONS, SETTINGS } from './settings.ts'

const NAMES = Object.keys(SETTINGS).filter(isSettingName)

test('GET / shows texts as they are written, leaves unset settings out and masks secrets', () => {
  const flags = { admin_token: 'hunter2', client_max_body_size: '8m', proxy_listen: '127.0.0.1:0 reuseport', admin_listen: 'off' }
  const shown = displaySettings(loadSettings({ file: null, flags }).settings)
  assert.equal(shown['admin_token'], '******')
  assert.doesNotMatch(JSON.stringify(shown), /hunter2/)
  assert.equal(shown['database'], 'sqlite')
  assert.equal(shown['client_max_body_size'], '8m')
  assert.equal(shown['client_header_timeout'], '60s')
  assert.deepEqual(shown['proxy_listen'], ['127.0.0.1:0 reuseport'])
  assert.deepEqual(shown['admin_listen'], ['off'])
  assert.deepEqual(shown['admin_listeners'], [])
  assert.equal('node_id' in shown, false)
})

test('the example conf file holds every setting at its default', () => {
  const example = toConfExample()
  const active = example.replaceAll(/^#([a-z0-9_]+ =)/gm, '$1')
  const { values, errors } = parseConfFile(active)
  assert.deepEqual(errors, [])
  assert.deepEqual([...values.keys()].toSorted(), NAMES.toSorted())
  for (const name of NAMES) assert.equal(values.get(name), SETTINGS[name].default ?? '', name)
})

test('sections hold every setting once, and the reference lists them all', () => {
  const listed = SECTIONS.flatMap(([, settings]) => Object.keys(settings))
  assert.deepEqual(listed.toSorted(), NAMES.toSorted())
  const reference = toReference()
  for (const name of NAMES) assert.equal(reference.split(`| \`${name}\` |`).length, 2, name)
})
