import {
  SerializerSelector,
  type Serializer,
  type SerializerFactory,
} from '@fastify/fast-json-stringify-compiler'

/**
 * Fastify's own serializers, each compiled when it is first needed: compiling all of them took more
 * of a start than everything else, and a server answers with few of them. One that cannot be
 * compiled would be found by its first answer alone, so a test compiles them all.
 */
export const buildSerializers: SerializerFactory = (schemas, options) => {
  const compile = SerializerSelector()(schemas, options)
  return (route) => {
    let serialize: Serializer | undefined
    return (value) => (serialize ??= compile(route))(value)
  }
}
