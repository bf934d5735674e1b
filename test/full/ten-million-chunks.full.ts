import { describe } from 'node:test'
import { testHugeImage } from '#test/suites/huge-images.ts'

/** 10,485,760 chunks: ten terabytes. */
const SEGMENTS = 320

describe('a server with an image of ten million chunks', () => testHugeImage(SEGMENTS))
