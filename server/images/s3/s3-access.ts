/** A bucket, or a part of it, and the keys to it. */
export type S3Access = {
  /** For people: `s3://bucket/prefix`. */
  address: string
  bucket: string
  /** Before every key: empty, or with a slash at its end. */
  prefix: string
  /** Of the bucket, with a slash at its end: `http://127.0.0.1:7480/bucket/`. */
  bucketUrl: string
  region: string
  accessKeyId: string
  secretAccessKey: string
  sessionToken?: string | undefined
}
