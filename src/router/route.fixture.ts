import type { RouteEntity } from './router.ts'

/** A route with Kong's defaults, and what a test wants otherwise. */
export function routeWith(fields: Partial<RouteEntity> = {}): RouteEntity {
  return {
    id: '00000000-0000-4000-8000-000000000001',
    name: null,
    protocols: ['http', 'https'],
    methods: null,
    hosts: null,
    paths: null,
    headers: null,
    snis: null,
    strip_path: true,
    preserve_host: false,
    regex_priority: 0,
    path_handling: 'v0',
    https_redirect_status_code: 426,
    created_at: 0,
    service: null,
    ...fields,
  }
}
