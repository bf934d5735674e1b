import { encodeManifest } from '#protocol/image/image.ts'
import type { Image, ImageDirectory } from '#protocol/image/image-info.ts'
import type { ImageLink } from '#protocol/image/image-link.ts'
import type { ImagePull, PullRequest } from '#protocol/image/image-pull.ts'
import type { ImageVersion, Retention } from '#protocol/image/image-version.ts'
import type { Upload, UploadRequest } from '#protocol/image/upload.ts'
import type { Examples } from '../openapi/add-examples.ts'
import {
  AT,
  CHUNK,
  DIGEST,
  IMAGE_BYTES,
  IMAGE_NAME,
  LINK_ID,
  listWith,
  MAC,
  PULL_ID,
  UPLOAD_ID,
} from './values.ts'

const content = {
  digest: DIGEST,
  sizeBytes: IMAGE_BYTES,
  sectorBytes: 512,
  storedBytes: 702_545_920,
  contentBytes: 1_717_986_918,
  uniqueBytes: 210_763_776,
  createdAt: AT,
}
const image: Image = {
  name: IMAGE_NAME,
  ...content,
  version: 3,
  latestVersion: 3,
  versionCount: 3,
  description: 'Debian 13 with nginx, for the web rack',
  fileName: 'debian-13.qcow2',
  info: {
    partitionTable: 'gpt',
    partitions: [
      {
        number: 1,
        startBytes: 1_048_576,
        sizeBytes: 10_735_321_088,
        type: '0fc63daf-8483-4772-8e79-3d69d8477de4',
        fileSystem: 'ext4',
        label: 'root',
      },
    ],
    bootModes: ['bios', 'uefi'],
    architecture: 'x86_64',
    operatingSystem: 'Debian GNU/Linux 13 (trixie)',
    source: 'upload of debian-13.qcow2',
    rootPartition: 1,
  },
  usedBy: { machines: [{ mac: MAC, name: 'rack3-node7' }], runs: [] },
}
const version: ImageVersion = {
  image: IMAGE_NAME,
  version: 3,
  ...content,
  createdBy: 'maria',
  runId: null,
  fileName: 'debian-13.qcow2',
  info: image.info,
  isPromoted: true,
  promotedAt: AT,
  promotedBy: 'maria',
  usedBy: { machines: [], runs: [], links: 1 },
}
const retention: Retention = {
  keepVersions: 2,
  keepDays: 30,
  isDefault: false,
  removed: [1],
  kept: [
    { version: 3, reasons: ['promoted', 'linked', 'rule'] },
    { version: 2, reasons: ['rule'] },
  ],
}
const pullRequest: PullRequest = {
  url: 'https://cloud.debian.org/images/cloud/trixie/latest/debian-13-generic-amd64.qcow2',
  sha256: CHUNK,
  promote: false,
}
const pull: ImagePull = {
  id: PULL_ID,
  image: IMAGE_NAME,
  url: pullRequest.url,
  state: 'running',
  bytesDone: 104_857_600,
  bytesTotal: 419_430_400,
  version: null,
  digest: null,
  error: null,
  createdBy: 'maria',
  createdAt: AT,
  finishedAt: null,
}
const directory: ImageDirectory = {
  partition: 1,
  path: '/etc',
  items: [
    { name: 'fstab', kind: 'file', sizeBytes: 664 },
    { name: 'os-release', kind: 'symlink' },
    { name: 'ssh', kind: 'directory' },
  ],
}
const uploadRequest: UploadRequest = {
  name: IMAGE_NAME,
  sizeBytes: 1_288_490_188,
  fileName: 'debian-13.qcow2',
}
const upload: Upload = {
  id: UPLOAD_ID,
  ...uploadRequest,
  offset: 0,
  state: 'receiving',
  startedAt: AT,
  expiresAt: '2026-05-01T12:15:00.000Z',
}
const begun: Upload = { ...upload, offset: 536_870_912 }
const manifest = new TextDecoder().decode(
  encodeManifest({ sizeBytes: 1_048_576, sectorBytes: 512, segments: [CHUNK] }),
)
const link: ImageLink = {
  id: LINK_ID,
  image: IMAGE_NAME,
  digest: DIGEST,
  createdAt: AT,
  createdBy: 'maria',
  lastUsedAt: null,
  expiresAt: '2026-05-01T13:00:00.000Z',
}
const missing = {
  error: {
    code: 'chunks-missing',
    message: 'The store lacks a chunk of this image; send what is missing, then the manifest again',
  },
  missing: [CHUNK],
}

export const IMAGE_EXAMPLES: Examples = {
  'GET /api/images': { answers: { 200: { items: [image], next: IMAGE_NAME } } },
  'GET /api/images/{name}': { answers: { 200: image } },
  'POST /api/images/{name}': { answers: { 201: image } },
  'PUT /api/images/{name}': { answers: { 201: image } },
  'PATCH /api/images/{name}': {
    body: { name: 'debian-13-web', description: null },
    answers: { 200: { ...image, name: 'debian-13-web' } },
  },
  'GET /api/images/{name}/versions': { answers: { 200: listWith(version) } },
  'POST /api/images/{name}/versions/{version}/promote': { answers: { 200: image } },
  'GET /api/images/{name}/retention': { answers: { 200: retention } },
  'PUT /api/images/{name}/retention': {
    body: { keepVersions: 2, keepDays: 30 },
    answers: { 200: retention },
  },
  'POST /api/images/{name}/pull': { body: pullRequest, answers: { 202: pull } },
  'GET /api/images/{name}/tree': { answers: { 200: directory } },
  'GET /api/pulls': { answers: { 200: listWith(pull) } },
  'GET /api/pulls/{id}': { answers: { 200: pull } },
  'PUT /api/images/{name}/info': { body: image.info, answers: { 200: image } },
  'PUT /api/images/{name}/manifest': { body: manifest, answers: { 201: image, 409: missing } },
  'POST /api/images/{name}/links': {
    body: { expiresInSeconds: 3600 },
    answers: {
      201: { ...link, url: `http://192.0.2.1:8080/l/kQ7…/${IMAGE_NAME}.img.gz` },
    },
  },
  'GET /api/links': { answers: { 200: listWith({ ...link, lastUsedAt: AT }) } },
  'POST /l/{token}/{file}': { answers: { 201: image } },
  'PUT /l/{token}/{file}': { answers: { 201: image } },
  'GET /images/by-digest/{digest}': { answers: { 200: manifest } },
  'POST /api/uploads': { body: uploadRequest, answers: { 201: upload } },
  'GET /api/uploads': { answers: { 200: listWith(begun) } },
  'GET /api/uploads/{id}': { answers: { 200: begun } },
  'PATCH /api/uploads/{id}': { answers: { 201: image } },
  'POST /chunks/missing': { body: { sha256: [CHUNK] }, answers: { 200: { missing: [CHUNK] } } },
}
