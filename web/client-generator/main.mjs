/**
 * Prints TypeScript types for an OpenAPI file: `node main.mjs openapi.json > schema.d.ts`.
 *
 * In a folder of its own, since openapi-typescript needs TypeScript 5 beside the project's 7.
 */
import { readFile } from 'node:fs/promises'
import openapiTS, { astToString, COMMENT_HEADER } from 'openapi-typescript'

const [file] = process.argv.slice(2)
if (!file) throw new Error('Usage: node main.mjs openapi.json')
const types = await openapiTS(await readFile(file, 'utf8'))
process.stdout.write(COMMENT_HEADER + astToString(types))
