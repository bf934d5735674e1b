import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type TSchema, Type } from 'typebox'
import { Value } from 'typebox/value'
import { HOSTNAME_PATTERN } from '#protocol/names.ts'
import { explainProblems } from '#protocol/schema-problems.ts'

const closed = { additionalProperties: false }
const Person = Type.Object({ name: Type.String({ minLength: 1 }) }, closed)
const Pet = Type.Object({ kind: Type.Enum(['cat', 'dog']), size: Type.Integer() }, closed)

const field = (value: TSchema) => Type.Object({ field: Type.Optional(value) }, closed)

describe('problems with what somebody sent', () => {
  for (const [what, schema, value, expected] of [
    [
      'literals, by what they are',
      field(Type.Union([Type.Literal(512), Type.Literal(4096)])),
      { field: 'x' },
      ['field must be 512 or 4096'],
    ],
    ['a constant', field(Type.Literal('off')), { field: 'on' }, ['field must be off']],
    [
      'words to choose from',
      field(Type.Enum(['deploy', 'capture'])),
      { field: 'x' },
      ['field must be one of deploy, capture'],
    ],
    [
      'what may also be null',
      field(Type.Union([Type.Integer({ minimum: 1 }), Type.Null()])),
      { field: -1 },
      ['field must be >= 1 or null'],
    ],
    [
      'what is typed, or null',
      field(Type.Union([Type.String({ pattern: HOSTNAME_PATTERN }), Type.Null()])),
      { field: '?' },
      ['field must be a host name such as rack3-node7 or null'],
    ],
    [
      'what must not be there, once',
      field(Person),
      { field: { name: 'x', nmae: 'y' } },
      ['field.nmae must not be there'],
    ],
    [
      'what is missing',
      field(Pet),
      { field: {} },
      ['field.kind is missing', 'field.size is missing'],
    ],
    ['what is missing at the top', Person, {}, ['name is missing']],
    ['nothing at all', Person, undefined, ['must be object']],
    [
      'shapes to choose from, all that keeps it from being either',
      Type.Union([Person, Pet]),
      { kind: 'cow', size: 1 },
      [
        'name is missing',
        'kind must not be there',
        'size must not be there',
        'kind must be one of cat, dog',
      ],
    ],
    [
      'several items of a list, each on its own',
      field(Type.Array(Type.Union([Type.Literal(512), Type.Literal(4096)]))),
      { field: [1, 512, 2] },
      ['field.0 must be 512 or 4096', 'field.2 must be 512 or 4096'],
    ],
    [
      'choices within choices',
      field(Type.Union([Type.Union([Type.Literal(1), Type.Literal(2)]), Type.Null()])),
      { field: 3 },
      ['field must be 1 or 2', 'field must be null'],
    ],
  ] as const)
    it(`say ${what}`, () => {
      const told = explainProblems(Value.Errors(schema, value))
      assert.deepEqual(told.toSorted(), expected.toSorted())
    })
})
