// Makes the golden images that the cache lacks: node lab/images.ts [a] [b] [c] [d]
import { goldenImage } from './golden-images.ts'
import { GOLDEN_RECIPES } from './golden-recipes.ts'
import type { GoldenName } from './golden-recipes.ts'

function isGoldenName(text: string): text is GoldenName {
  return Object.hasOwn(GOLDEN_RECIPES, text)
}

const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(GOLDEN_RECIPES)
const started = Date.now()
for (const name of names) {
  if (!isGoldenName(name)) {
    console.error(`No golden image "${name}"; there are ${Object.keys(GOLDEN_RECIPES).join(', ')}`)
    process.exit(1)
  }
  const path = await goldenImage(name, (message) => {
    console.error(`${String(Math.round((Date.now() - started) / 1000)).padStart(4)} s  ${message}`)
  })
  console.log(path)
}
