import { cpuRow, measureInRounds } from '../measure.ts'
import type { Question } from '../question.ts'
import { assertIntrospects, type Endpoints, introspectionPlugin, type PluginEntity, startStage } from '../stage.ts'
import { summarisePairs } from '../summary.ts'

export const question: Question = {
  asks: 'How much dearer is openid-connect with required scopes than oauth2-introspection?',
  unit: 'CPU µs per request',
  async run(pace) {
    await using stage = await startStage({
      routes: (endpoints) => ({ introspection: [introspectionPlugin(endpoints)], openid: [openidConnectPlugin(endpoints)] }),
    })
    const plain = stage.subject('oauth2-introspection, cached', 'introspection')
    const openid = stage.subject('openid-connect with scopes, cached', 'openid')
    for (const subject of [plain, openid]) await assertIntrospects(subject)
    const samples = await measureInRounds([plain, openid], pace)
    const [cheap = [], dear = []] = [samples.get(plain), samples.get(openid)]
    const value = summarisePairs(dear, cheap, (its, other) => 100 * (its.cpuUsPerRequest / other.cpuUsPerRequest - 1))
    return {
      rows: [cpuRow(plain.name, cheap), cpuRow(openid.name, dear)],
      goals: [{ of: '% dearer than oauth2-introspection', value, sense: 'at most', bound: 5 }],
      notes: ['Two routes of one gateway; both find the consumer by `username` and pass scope and email on.'],
    }
  },
}

function openidConnectPlugin({ introspection }: Endpoints): PluginEntity {
  return {
    name: 'openid-connect',
    config: {
      issuer: 'https://idp.example',
      using_pseudo_issuer: true,
      client_id: ['gateway'],
      client_secret: ['secret'],
      auth_methods: ['introspection'],
      introspection_endpoint: introspection,
      scopes_required: ['read'],
      consumer_claims: [['username']],
      consumer_by: ['username'],
      upstream_headers: [
        { header: 'x-credential-scope', path: ['scope'] },
        { header: 'x-credential-email', path: ['email'] },
      ],
      cache_tokens_salt: '2d6f1c0b9a8e47f3b5d2c1a0f9e8d7c6',
      cache_ttl: 600,
    },
  }
}
