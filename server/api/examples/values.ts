/** What the examples have in common, so that they tell one story. */

export const MAC = '52:54:00:12:34:56'
export const OTHER_MAC = '52:54:00:ab:cd:ef'
export const IMAGE_NAME = 'debian-13'
export const DIGEST = '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08'
export const CHUNK = '2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae'
export const FINGERPRINT = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
export const RUN_ID = '019c2f6e-8d1b-7c43-9a57-3f0e6b1d2c88'
export const PLAN_ID = '019c2f6d-11aa-7e02-8c1f-77b1f0a9d3e4'
export const UPLOAD_ID = '0b1f6a52-3c1e-4c0e-9d5e-9c1f1c7f5a10'
export const PULL_ID = '019c2f71-3a52-7b90-8d44-0c9d8e7f6a51'
export const LINK_ID = '019c2f73-77c4-7d15-9b0e-2e6a4f8c1b90'
export const WEBHOOK_ID = '7b0e5f0a-55d4-4a0c-a7f5-0a4e8a2f6c11'
export const DELIVERY_ID = 'd9c1a7f2-0f53-4b6e-9b1e-3f7f1f8f2b77'
export const TOKEN_ID = '019c2f70-9f10-7a41-b2aa-5d4c3b2a1908'
export const USER_ID = '4f6f2b1e-0c8a-4a53-8c54-1d2e3f4a5b6c'
export const AT = '2026-05-01T12:00:00.000Z'
export const LATER = '2026-05-01T12:03:20.000Z'
export const DISK_BYTES = 500_107_862_016
export const IMAGE_BYTES = 10_737_418_240

/** A page that is the last one. */
export function listWith<Item>(...items: Item[]): { items: Item[]; next: null } {
  return { items, next: null }
}
