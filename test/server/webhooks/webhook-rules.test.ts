import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { MAX_ATTEMPTS, retryDelaySeconds, signedHeaders } from '#server/webhooks/webhook-rules.ts'

describe('when a delivery is tried again', () => {
  const delays = Array.from({ length: MAX_ATTEMPTS - 1 }, (_, i) => retryDelaySeconds(i + 1, 0.5)!)

  it('later and later, for about a day', () => {
    assert.deepEqual(delays.slice(0, 4), [5, 20, 80, 320])
    assert.deepEqual(
      delays,
      delays.toSorted((a, b) => a - b),
    )
    const hours = delays.reduce((sum, delay) => sum + delay, 0) / 3600
    assert.ok(hours > 20 && hours < 26, `${hours} hours`)
    assert.equal(retryDelaySeconds(MAX_ATTEMPTS, 0.5), undefined)
  })

  it('not all at the same moment', () => {
    const range = [0, 1].map((random) => Math.round(retryDelaySeconds(1, random)!))
    assert.deepEqual(range, [4, 6])
  })
})

describe('the signature', () => {
  it('is that of the example of Standard Webhooks', () => {
    // https://github.com/standard-webhooks/standard-webhooks: the vector of its libraries
    const headers = signedHeaders(
      { id: 'msg_p5jXN8AQM9LWM0D4loKWxJek', body: '{"test": 2432232314}' },
      'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
      new Date(1_614_265_330_000),
    )
    assert.deepEqual(headers, {
      'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      'webhook-timestamp': '1614265330',
      'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    })
  })
})
