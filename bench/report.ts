import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { chartGroups, drawChart } from './chart.ts'
import { formatTable } from './markdown.ts'
import { type BenchRun, newestOfEach, readRuns, sectionOf } from './results.ts'
import { formatVerdict, judge } from './wanted.ts'

/** Writes docs/benchmarks.md and its chart from the newest results of each section: `node bench/report.ts`. */

const DOCS = join(import.meta.dirname, '../docs')

const gib = (bytes: unknown) => `${Math.round(Number(bytes) / 1024 ** 3)} GiB`
const mb = (bytes: unknown) => `${Math.round(Number(bytes) / 1e6)} MB`

function describeRun({ at, commit, machine, settings, measurements }: BenchRun): string {
  const sections = [...new Set(measurements.map(({ key }) => sectionOf(key)))].join(', ')
  return `- ${sections}: ${at.slice(0, 10)} at commit ${commit}; ${machine.processor}, ${machine.cores} cores, ${gib(machine.memoryBytes)} of memory,
  Linux ${machine.kernel}, ${machine.disk}, Node ${machine.node}; a disk of ${gib(settings['sizeBytes'])} with ${mb(settings['contentBytes'])} of files
  and ${mb(settings['garbageBytes'])} of deleted ones; rounds: ${String(settings['rounds'])}`
}

function reportText(runs: readonly BenchRun[]): string {
  const measurements = runs.flatMap((run) => run.measurements)
  return `# Benchmarks

Stampede beside the tools that people would use instead, each in one run on one machine, in turns. What counts are the ratios: the
last column is each value as a multiple of the first. How it is measured, and how to measure it yourself:
[bench/README.md](../bench/README.md). This page is written by \`node bench/report.ts\`.

![The same as a chart](benchmarks.svg)

Measured:

${runs.map(describeRun).join('\n')}

${chartGroups(measurements)
  .map(({ title, bars }) => formatTable({ title, rows: bars }))
  .join('\n\n')}

## What was wanted

\`\`\`
${judge(measurements).map(formatVerdict).join('\n')}
\`\`\`
`
}

const runs = newestOfEach(await readRuns()).toReversed()
if (runs.length === 0) throw new Error('Nothing was measured yet: npm run bench')
await writeFile(join(DOCS, 'benchmarks.md'), reportText(runs))
const measurements = runs.flatMap((run) => run.measurements)
await writeFile(join(DOCS, 'benchmarks.svg'), await drawChart(measurements))
console.error('Wrote docs/benchmarks.md and docs/benchmarks.svg')
