import { resolve } from 'node:path'
import { ConfigError, type Env, readVariable } from './env.ts'
import type { S3Access } from '../images/s3/s3-access.ts'

export type StoreConfig = { kind: 'folder'; folder: string } | { kind: 's3'; access: S3Access }

/** As STAMPEDE_STORE says it. */
export function storeAddress(config: StoreConfig): string {
  switch (config.kind) {
    case 'folder':
      return `file:${config.folder}`
    case 's3':
      return config.access.address
  }
}

/** Wider than Amazon's own rule: Ceph and others have older names. */
const BUCKET = /^[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]$/
const PREFIX = /^[A-Za-z0-9._-]+(\/[A-Za-z0-9._-]+)*$/
/** What servers other than Amazon's take for it; few have any. */
const DEFAULT_REGION = 'us-east-1'

/** A store by its address, `file:…` or `s3://…`; `name` is what said so. Throws ConfigError. */
export function parseStore(name: string, text: string, env: Env): StoreConfig {
  if (text.startsWith('s3://')) return { kind: 's3', access: parseS3(name, text, env) }
  const path = /^file:(?:\/\/(?=\/))?(.+)$/.exec(text)?.[1]
  if (path === undefined)
    throw new ConfigError(
      `${name} is "${text}" but must be a folder such as file:/srv/stampede, or a bucket such as s3://stampede/images`,
    )
  return { kind: 'folder', folder: resolve(path) }
}

function parseS3(name: string, text: string, env: Env): S3Access {
  const [bucket = '', ...folders] = text.slice('s3://'.length).replace(/\/$/, '').split('/')
  const prefix = folders.join('/')
  if (!BUCKET.test(bucket) || (prefix !== '' && !PREFIX.test(prefix)))
    throw new ConfigError(
      `${name} is "${text}" but must be like s3://bucket or s3://bucket/prefix, of letters, digits, ".", "_", "-" and "/"`,
    )
  // In the path of a URL they are not what they are in the name of an object.
  if (folders.some((folder) => folder === '.' || folder === '..'))
    throw new ConfigError(`${name} is "${text}" but must be without "." and ".." as a folder`)
  const endpoint = readS3Endpoint(env)
  const region = readVariable(env, 'AWS_REGION') ?? readVariable(env, 'AWS_DEFAULT_REGION')
  if (!endpoint && region === undefined)
    throw new ConfigError(
      `${name} is "${text}", which needs AWS_REGION such as eu-central-1, or AWS_ENDPOINT_URL for a server that is not Amazon's`,
    )
  const sessionToken = readVariable(env, 'AWS_SESSION_TOKEN')
  return {
    address: `s3://${[bucket, ...folders].join('/')}`,
    bucket,
    prefix: prefix && `${prefix}/`,
    bucketUrl: endpoint ? urlAt(endpoint, bucket) : amazonUrl(region!, bucket),
    region: region ?? DEFAULT_REGION,
    accessKeyId: readKey(env, 'AWS_ACCESS_KEY_ID', name, text),
    secretAccessKey: readKey(env, 'AWS_SECRET_ACCESS_KEY', name, text),
    ...(sessionToken !== undefined && { sessionToken }),
  }
}

function readKey(env: Env, name: string, store: string, text: string): string {
  const value = readVariable(env, name)
  if (value === undefined)
    throw new ConfigError(
      `${store} is "${text}", which needs ${name}; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to a key that may read and write the bucket`,
    )
  return value
}

function readS3Endpoint(env: Env): URL | undefined {
  for (const name of ['AWS_ENDPOINT_URL_S3', 'AWS_ENDPOINT_URL']) {
    const text = readVariable(env, name)
    if (text === undefined) continue
    const url = URL.canParse(text) ? new URL(text) : undefined
    if (!url || !/^https?:$/.test(url.protocol) || url.pathname + url.search + url.hash !== '/')
      throw new ConfigError(
        `${name} is "${text}" but must be like http://192.0.2.1:7480, without a path`,
      )
    return url
  }
  return undefined
}

/** Path-style, which every server but Amazon's knows, unless the bucket is in the name already. */
function urlAt(endpoint: URL, bucket: string): string {
  if (endpoint.hostname.startsWith(`${bucket}.`)) return endpoint.href
  return new URL(`/${bucket}/`, endpoint).href
}

/** A certificate for `*.s3…` is none for a bucket with a dot in its name. */
function amazonUrl(region: string, bucket: string): string {
  const host = `s3.${region}.amazonaws.com${region.startsWith('cn-') ? '.cn' : ''}`
  return bucket.includes('.') ? `https://${host}/${bucket}/` : `https://${bucket}.${host}/`
}
