import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { chartGroups, drawChart } from './chart.ts'
import { formatTable } from './markdown.ts'
import { type BenchRun, readRuns } from './results.ts'
import { formatVerdict, judge } from './wanted.ts'

/** Writes docs/benchmarks.md and its chart from the last run in bench/results: `node bench/report.ts`. */

const DOCS = join(import.meta.dirname, '../docs')

function reportText(run: BenchRun): string {
  const { machine, settings, measurements } = run
  const gib = (bytes: unknown) => `${Math.round(Number(bytes) / 1024 ** 3)} GiB`
  const verdicts = judge(measurements).map(formatVerdict)
  return `# Benchmarks

Stampede beside the tools that people would use instead, in one run on one machine, in turns. What counts are the ratios: the
last column is each value as a multiple of the first. How it is measured, and how to measure it yourself:
[bench/README.md](../bench/README.md). This page is written by \`node bench/report.ts\`.

![The same as a chart](benchmarks.svg)

Measured ${run.at.slice(0, 10)} at commit ${run.commit}: ${machine.processor}, ${machine.cores} cores, ${gib(machine.memoryBytes)} of memory,
Linux ${machine.kernel}, ${machine.disk}, Node ${machine.node}; a disk of ${gib(settings['sizeBytes'])} with ${Math.round(Number(settings['contentBytes']) / 1e6)} MB of files
and ${Math.round(Number(settings['garbageBytes']) / 1e6)} MB of deleted ones; ${String(settings['rounds'])} rounds.

${chartGroups(measurements)
  .map(({ title, bars }) => formatTable({ title, rows: bars }))
  .join('\n\n')}

## What was wanted

\`\`\`
${verdicts.join('\n')}
\`\`\`
`
}

const run = (await readRuns()).at(-1)
if (!run) throw new Error('Nothing was measured yet: npm run bench')
await writeFile(join(DOCS, 'benchmarks.md'), reportText(run))
await writeFile(join(DOCS, 'benchmarks.svg'), await drawChart(run.measurements))
console.error(`Wrote docs/benchmarks.md and docs/benchmarks.svg of ${run.at}`)
