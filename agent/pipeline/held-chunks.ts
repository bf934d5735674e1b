/** Which chunks of the disk are what the image has there; a byte for each, 10 MB for 10 TB. */
export interface HeldChunks {
  has(place: number): boolean
  add(place: number): void
}

export function createHeldChunks(count: number): HeldChunks {
  const held = new Uint8Array(count)
  return {
    has: (place) => held[place] === 1,
    add(place) {
      held[place] = 1
    },
  }
}
