import type { FastifySchemaCompiler } from 'fastify'
import type { TSchema } from 'typebox'
import { Compile } from 'typebox/compile'
import { Value } from 'typebox/value'

/**
 * As the TypeBox provider's own, but parts of an address are converted only if they are not right as they
 * came: most are strings, and to find nothing to convert takes longer than to check them.
 */
export const compileValidator: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  const validator = Compile(schema)
  return (value: unknown) => {
    if (validator.Check(value)) return { value }
    const converted = httpPart === 'body' ? value : Value.Convert(schema, value)
    if (validator.Check(converted)) return { value: converted }
    return { error: validator.Errors(converted) }
  }
}
