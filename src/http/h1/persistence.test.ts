import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HeaderList } from '../headers.ts'
import { keepsAlive } from './persistence.ts'

const withConnection = (...values: string[]): HeaderList => HeaderList.fromRaw(values.flatMap((value) => ['Connection', value]))

test('HTTP/1.1 goes on unless some Connection line says close', () => {
  for (const values of [[], ['keep-alive'], ['X-Mine'], ['closed'], ['']]) assert.equal(keepsAlive(withConnection(...values), 1), true)
  for (const values of [['close'], ['X-Mine, Close'], ['close,x'], ['X-Mine', 'close'], ['keep-alive, close']]) {
    assert.equal(keepsAlive(withConnection(...values), 1), false, values.join())
  }
})

test('HTTP/1.0 ends unless some Connection line says keep-alive and none close', () => {
  for (const values of [['keep-alive'], ['X-Mine', 'Keep-Alive']]) assert.equal(keepsAlive(withConnection(...values), 0), true)
  for (const values of [[], ['keep-alive-not'], ['keep-alive', 'close']]) assert.equal(keepsAlive(withConnection(...values), 0), false)
})
