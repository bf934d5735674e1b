import { describe } from 'node:test'
import { testHugeImage } from '#test/suites/huge-images.ts'

/** Half a million chunks: half a terabyte. */
const SEGMENTS = 16

describe('a server with an image of half a million chunks', () => testHugeImage(SEGMENTS))
