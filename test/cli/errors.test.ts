import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ApiError } from '../../cli/errors.ts'

describe('the exit code of what the server answers', () => {
  const exitCode = (status: number, code = 'any') => new ApiError(status, code, 'No').exitCode

  it('tells what a script can do about it', () => {
    assert.deepEqual(
      [400, 401, 403, 404, 409, 422, 500, 503].map((status) => exitCode(status)),
      [2, 4, 4, 3, 6, 6, 1, 5],
    )
  })

  it('is that of a refusal where there is no room, or as much to do as there may be', () => {
    assert.deepEqual([exitCode(507, 'store-full'), exitCode(503, 'too-many-uploads')], [6, 6])
  })
})
