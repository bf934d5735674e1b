import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Role } from '#protocol/account.ts'
import type { RouteRule } from '#server/api/access/auth.ts'
import { addSession, addToken, addUser } from '#test/support/accounts.ts'
import { bootToken, hello, queueRun } from '#test/support/test-agent.ts'
import { ADMIN_TOKEN, openTestApp, type TestApp } from '#test/support/test-app.ts'

/**
 * Who may call what: every route of the running server, once, by hand. A route without a line fails
 * the test, and so does a line without a route.
 *
 * `public`; a role, which those above it have too; `agent`: agents only; `viewer+`, `operator+`: that
 * role, and agents. After it what a token with scopes needs to change something here.
 */
const TABLE = `
GET    /healthz                                         public
GET    /metrics                                         public
GET    /api/openapi.json                                public
GET    /api/docs/                                       public
GET    /api/docs/json                                   public
GET    /api/docs/yaml                                   public
GET    /api/docs/static/index.html                      public
GET    /api/docs/static/swagger-initializer.js          public
GET    /api/docs/static/*                               public
GET    /*                                               public
GET    /:file(^.+\\.bty$)                               public
GET    //:file(^.+\\.bty$)                              public
GET    /booty/*                                         public
GET    /boot/:script                                    public
GET    /boot/kernel                                     public
GET    /boot/initrd                                     public
GET    /boot/files/:name                                public
GET    /l/:token/:file                                  public
POST   /l/:token/:file                                  public
PUT    /l/:token/:file                                  public
POST   /agent/hello                                     public
POST   /agent/runs/:id/reports                          agent
POST   /agent/runs/:id/log                              agent
POST   /agent/runs/:id/result                           agent
GET    /images/by-digest/:digest                        viewer+
GET    /chunks/:sha256                                  viewer+
PUT    /chunks/:sha256                                  operator+ images
POST   /chunks/missing                                  operator+ images
GET    /images/:file(^.+\\.(?:img|img\\.gz|img\\.zst|qcow2)$) viewer
GET    /api/setup                                       public
POST   /api/setup                                       public
POST   /api/session                                     public
GET    /api/session                                     viewer
DELETE /api/session                                     viewer    accounts
PUT    /api/session/password                            viewer    accounts
GET    /api/users                                       admin
POST   /api/users                                       admin     accounts
GET    /api/users/:name                                 admin
PATCH  /api/users/:name                                 admin     accounts
DELETE /api/users/:name                                 admin     accounts
GET    /api/tokens                                      viewer
POST   /api/tokens                                      viewer    accounts
DELETE /api/tokens/:id                                  viewer    accounts
GET    /api/audit                                       admin
GET    /api/machines                                    viewer
PATCH  /api/machines                                    operator  machines
POST   /api/machines/delete                             operator  machines
GET    /api/machines/:mac                               viewer
PUT    /api/machines/:mac                               operator  machines
PATCH  /api/machines/:mac                               operator  machines
DELETE /api/machines/:mac                               operator  machines
GET    /api/machines/:mac/script                        viewer
POST   /api/plans                                       operator  runs
GET    /api/plans/:id                                   viewer
GET    /api/runs                                        viewer
POST   /api/runs                                        operator  runs
GET    /api/runs/:id                                    viewer
GET    /api/runs/:id/log                                viewer
GET    /api/runs/:id/receipt                            viewer
GET    /api/receipt-key                                 public
POST   /api/runs/:id/cancel                             operator  runs
GET    /api/links                                       viewer
DELETE /api/links/:id                                   operator  images
GET    /api/leases                                      viewer
GET    /api/reservations                                viewer
GET    /api/reservations/:mac                           viewer
PUT    /api/reservations/:mac                           operator  network
DELETE /api/reservations/:mac                           operator  network
GET    /api/network                                     viewer
GET    /api/system                                      viewer
GET    /api/store                                       viewer
POST   /api/store/scrub                                 admin     settings
POST   /api/store/recompress                            admin     settings
POST   /api/store/sweep                                 admin     settings
GET    /api/store/migration                             viewer
POST   /api/store/migration                             admin     settings
DELETE /api/store/migration                             admin     settings
GET    /api/events                                      viewer
GET    /api/images                                      viewer
GET    /api/images/:name                                viewer
POST   /api/images/:name                                operator  images
PUT    /api/images/:name                                operator  images
PATCH  /api/images/:name                                operator  images
DELETE /api/images/:name                                operator  images
PUT    /api/images/:name/info                           operator+ images
PUT    /api/images/:name/manifest                       operator+ images
POST   /api/images/:name/links                          operator  images
GET    /api/images/:name/versions                       viewer
POST   /api/images/:name/versions/:version/promote      operator  images
DELETE /api/images/:name/versions/:version              operator  images
GET    /api/images/:name/retention                      viewer
PUT    /api/images/:name/retention                      operator  images
GET    /api/images/:name/files                          operator
GET    /api/images/:name/tree                           operator
POST   /api/images/:name/pull                           operator  images
GET    /api/pulls                                       viewer
GET    /api/pulls/:id                                   viewer
DELETE /api/pulls/:id                                   operator  images
GET    /api/uploads                                     viewer
POST   /api/uploads                                     operator  images
GET    /api/uploads/:id                                 viewer
PATCH  /api/uploads/:id                                 operator  images
DELETE /api/uploads/:id                                 operator  images
GET    /api/webhooks                                    admin
POST   /api/webhooks                                    admin     settings
GET    /api/webhooks/:id                                admin
PATCH  /api/webhooks/:id                                admin     settings
DELETE /api/webhooks/:id                                admin     settings
POST   /api/webhooks/:id/test                           admin     settings
GET    /api/webhooks/:id/deliveries                     admin
POST   /api/webhooks/:id/deliveries/:delivery/retry     admin     settings
`

interface Line {
  method: string
  url: string
  who: string
  scope: string | undefined
}

const LINES: Line[] = TABLE.trim()
  .split('\n')
  .map((text) => {
    const [method = '', url = '', who = '', scope] = text.split(/\s+/)
    return { method, url, who, scope }
  })

const MAC = '52:54:00:00:07:01'
const VALUES: Record<string, string> = {
  mac: '52:54:00:00:07:99',
  id: '01890a5d-ac96-774b-bcce-b302099a8057',
  delivery: '01890a5d-ac96-774b-bcce-b302099a8057',
  name: 'no-such',
  version: '1',
  digest: 'a'.repeat(64),
  sha256: 'a'.repeat(64),
  script: '52-54-00-00-07-99.ipxe',
  token: 'x',
}

/** An address that fits the route, of things that are not there, so that nobody's call does anything. */
function addressOf(url: string): string {
  return url
    .replace(/:file\(\^\.\+\\\.\(\?:img.*$/, 'no-such.img.gz')
    .replace(':file(^.+\\.bty$)', '52-54-00-00-07-99.bty')
    .replace('/l/:token/:file', '/l/x/no-such.img.gz')
    .replaceAll(/:(\w+)/g, (_, name: string) => VALUES[name] ?? 'x')
    .replace('*', 'x')
}

/** Codes with which the guard refuses; whatever else comes is from beyond it. */
const GUARD = new Set(['unauthorized', 'forbidden', 'scope', 'csrf', 'run-over'])

const ROLES_ABOVE: Record<string, Role[]> = {
  viewer: ['viewer', 'operator', 'admin'],
  operator: ['operator', 'admin'],
  admin: ['admin'],
}

interface Caller {
  name: string
  call(method: string, path: string): Promise<{ status: number; code: string | undefined }>
  may(line: Line): boolean
}

function hasRole(role: Role): (line: Line) => boolean {
  return ({ who }) => who === 'public' || !!ROLES_ABOVE[who.replace('+', '')]?.includes(role)
}

describe('who may call what', () => {
  let app: TestApp
  let callers: Caller[]

  /** Ends what never ends by itself, and takes no answer for granted. */
  async function ask(method: string, path: string, headers: Record<string, string>) {
    const gone = new AbortController()
    const response = await fetch(`http://127.0.0.1:${app.port}${path}`, {
      method,
      headers,
      signal: AbortSignal.any([gone.signal, AbortSignal.timeout(30_000)]),
    })
    const isStream = response.headers.get('content-type') === 'text/event-stream'
    const text = isStream ? '' : await response.text()
    gone.abort()
    const isJson = response.headers.get('content-type')?.includes('json') && text !== ''
    const body = (isJson ? JSON.parse(text) : {}) as { error?: { code: string } }
    return { status: response.status, code: body.error?.code }
  }

  function byToken(name: string, token: string, may: Caller['may']): Caller {
    const headers = { authorization: `Bearer ${token}` }
    return { name, may, call: (method, path) => ask(method, path, headers) }
  }

  async function byCookie(role: Role): Promise<Caller> {
    const user = await addUser(app, role)
    // A cookie is for what browsers do: nothing that is there for machines takes one.
    const isForBrowsers = ({ url }: Line) =>
      url.startsWith('/api/') || url.startsWith('/images/:file')
    return {
      name: `${role} in a browser`,
      may: (line) => line.who === 'public' || (hasRole(role)(line) && isForBrowsers(line)),
      // A session for each call, since some end it.
      call: async (method, path) =>
        ask(method, path, (await addSession(app, user.id)).options.headers),
    }
  }

  async function byAgent(): Promise<Caller> {
    await queueRun(app, MAC)
    const { sessionToken } = (await hello(app, MAC, await bootToken(app, MAC))).body
    return byToken('an agent at work', sessionToken, ({ who }) =>
      ['public', 'agent', 'viewer+', 'operator+'].includes(who),
    )
  }

  before(async () => {
    app = await openTestApp({ env: { STAMPEDE_TRUST_RELAYED: '1' } })
    const isPublic = ({ who }: Line) => who === 'public'
    const token = async (fields: Parameters<typeof addToken>[1]) =>
      (await addToken(app, fields)).secret
    const past = new Date(app.clock.now().getTime() - 1000)
    const admin = await addUser(app, 'admin')
    const viewer = await addUser(app, 'viewer')
    const gone = await addUser(app, 'admin', 'gone')
    const revoked = await addToken(app, { role: 'admin' })
    await app.call('DELETE', `/api/tokens/${revoked.id}`)
    const orphan = await token({ role: 'admin', userId: gone.id })
    await app.call('PATCH', '/api/users/gone', { disabled: true })
    callers = [
      { name: 'nobody', may: isPublic, call: (method, path) => ask(method, path, {}) },
      byToken('somebody who guesses', 'stp_guessed', isPublic),
      await byCookie('viewer'),
      await byCookie('operator'),
      await byCookie('admin'),
      byToken('the admin token', ADMIN_TOKEN, hasRole('admin')),
      byToken('a viewer token', await token({ role: 'viewer' }), hasRole('viewer')),
      byToken('an operator token', await token({ role: 'operator' }), hasRole('operator')),
      byToken(
        'an admin token of a viewer',
        await token({ role: 'admin', userId: viewer.id }),
        hasRole('viewer'),
      ),
      byToken('a revoked token', revoked.secret, isPublic),
      byToken('an expired token', await token({ role: 'admin', expiresAt: past }), isPublic),
      byToken('a token of somebody disabled', orphan, isPublic),
      byToken(
        'a token for machines only',
        await token({ role: 'admin', userId: admin.id, scopes: ['machines'] }),
        (line) =>
          isPublic(line) ||
          (hasRole('admin')(line) && (line.method === 'GET' || line.scope === 'machines')),
      ),
      byToken(
        'a token that may change nothing',
        await token({ role: 'admin', scopes: [] }),
        (line) => isPublic(line) || (hasRole('admin')(line) && line.method === 'GET'),
      ),
      await byAgent(),
    ]
  })
  after(() => app[Symbol.asyncDispose]())

  function rules(): RouteRule[] {
    return app.http.listRouteRules().filter(({ method }) => method !== 'HEAD')
  }

  it('every route is in the table, and nothing else', () => {
    const nameOf = ({ method, url }: { method: string; url: string }) => `${method} ${url}`
    assert.deepEqual(rules().map(nameOf).toSorted(), LINES.map(nameOf).toSorted())
  })

  it('whatever reads by GET answers HEAD to nobody else', () => {
    for (const rule of app.http.listRouteRules().filter(({ method }) => method === 'HEAD')) {
      const path = rule.url.replace(/(?<=.)\/$/, '')
      const get = rules().find(
        ({ method, url }) => method === 'GET' && [path, `${path}/`].includes(url),
      )
      assert.equal(rule.access, get?.access, rule.url)
    }
  })

  it('every change under /api is in the audit log, and has a scope', () => {
    const changes = rules().filter(({ method, url }) => method !== 'GET' && url.startsWith('/api/'))
    assert.ok(changes.length > 30, `${changes.length} routes`)
    for (const { method, url, scope, audit } of changes) {
      assert.match(audit ?? 'none', /^[a-z]+\.[a-z-]+$/, `${method} ${url}`)
      assert.ok(scope, `${method} ${url}`)
    }
  })

  it('everybody may what the table says, and no more', async () => {
    for (const caller of callers)
      for (const line of LINES) {
        // What is for everybody is asked by who has nothing, and needs no more asking.
        if (line.who === 'public' && caller !== callers[0]) continue
        const { status, code } = await caller.call(line.method, addressOf(line.url))
        const what = `${line.method} ${line.url} by ${caller.name}: ${status} ${code}`
        assert.ok(status < 500 || status === 503, what)
        const isRefused = [401, 403].includes(status) && GUARD.has(code ?? '')
        // An agent may come in, and is then told that this is not about its own run.
        const isAgentOfOther = caller.name === 'an agent at work' && status === 403
        assert.equal(isRefused && !(isAgentOfOther && caller.may(line)), !caller.may(line), what)
      }
  })
})
