import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { it } from 'node:test'
import { SerializerSelector } from '@fastify/fast-json-stringify-compiler'
import type { FastifyInstance, RouteOptions } from 'fastify'
import { openTestApp } from '#test/support/test-app.ts'

/** The server compiles one when it first answers with it, which would be late to find out. */
it('every answer of every route has a serializer that can be compiled', async () => {
  const routes: RouteOptions[] = []
  const watch = (message: unknown) => {
    const { fastify } = message as { fastify: FastifyInstance }
    fastify.addHook('onRoute', (route) => void routes.push(route))
  }
  subscribe('fastify.initialization', watch)
  await using _app = await openTestApp()
  unsubscribe('fastify.initialization', watch)

  const compile = SerializerSelector()({}, {})
  let count = 0
  for (const { method, url, schema } of routes)
    for (const [httpStatus, answer] of Object.entries(schema?.response ?? {})) {
      const route = { method: String(method), url, httpStatus, schema: answer }
      assert.doesNotThrow(() => compile(route), `${route.method} ${url} ${httpStatus}`)
      count++
    }
  assert.ok(count > 250, `${count} answers of ${routes.length} routes`)
})
