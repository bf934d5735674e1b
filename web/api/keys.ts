/** Under which keys the query cache holds what; live events (`web/live`) change these. */
export const keys = {
  setup: ['setup'],
  session: ['session'],
  /** All machines, without their inventories. */
  machines: ['machines'],
  /** One with its inventory, by the MAC that it is known by. */
  machine: (mac: string) => ['machine', mac],
  script: (mac: string) => ['script', mac],
  /** Lists of runs; the last part is the query. */
  runs: ['runs'],
  runsWhere: (where: object) => ['runs', where],
  run: (id: string) => ['run', id],
  plan: (id: string) => ['plan', id],
  images: ['images'],
  image: (name: string) => ['image', name],
  /** Directories of an image; under its key, and last in it where. */
  imageTree: (name: string) => ['image', name, 'tree'],
  leases: ['leases'],
  reservations: ['reservations'],
  network: ['network'],
  system: ['system'],
  store: ['store'],
} as const
