import 'fastify'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What the audit log calls this change, such as `machine.update`: `<kind of target>.<verb>`. */
    audit?: string
    /** Statuses that are no entry: of calls that are only a part of what another one ends. */
    auditUnless?: readonly number[]
  }
}
