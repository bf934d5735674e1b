import { tmpdir } from 'node:os'
import { closeTestPostgres } from '#test/support/database.ts'
import { benchApi } from './api.ts'
import { formatTable } from './markdown.ts'
import type { Measurement } from './measurement.ts'
import { parseOptions, type BenchOptions, type Section } from './options.ts'
import { appendRun, currentCommit, describeMachine, RESULTS_FILE, toWanted } from './results.ts'
import { benchReports } from './reports.ts'
import { benchCapture } from './sections/capture.ts'
import { benchDeploy } from './sections/deploy.ts'
import { benchGrowth } from './sections/growth.ts'
import { benchRecompress } from './sections/recompress.ts'
import { benchRedeploy } from './sections/redeploy.ts'
import { benchServe } from './sections/serve.ts'
import type { SectionResult } from './sections/section.ts'
import { openSetting, type Setting } from './setting.ts'
import { formatVerdict, judge } from './wanted.ts'

/** Ours next to the tools that people would use instead: see README.md beside this file. */

const WITH_DISK: Partial<Record<Section, (setting: Setting) => Promise<SectionResult>>> = {
  capture: benchCapture,
  deploy: benchDeploy,
  redeploy: benchRedeploy,
  recompress: benchRecompress,
  serve: benchServe,
}

async function main(options: BenchOptions): Promise<void> {
  if (process.getuid?.() !== 0) throw new Error('The bench needs root, to make loop devices')
  const measurements: Measurement[] = []
  for await (const result of sectionResults(options)) {
    measurements.push(...result.measurements)
    for (const table of result.tables) console.log(`\n${formatTable(table)}`)
    for (const note of result.notes ?? []) console.log(`\n${note}`)
  }
  const verdicts = judge(measurements)
  if (verdicts.length > 0) console.log(`\n${verdicts.map(formatVerdict).join('\n')}`)
  if (!options.record || measurements.length === 0) return
  await appendRun({
    at: new Date().toISOString(),
    commit: await currentCommit(),
    machine: await describeMachine(tmpdir()),
    settings: { ...options },
    measurements,
    wanted: toWanted(verdicts),
  })
  console.error(`\nAppended to ${RESULTS_FILE}; for docs/benchmarks.md: node bench/report.ts`)
}

async function* sectionResults(options: BenchOptions): AsyncGenerator<SectionResult> {
  const wanted = options.sections
  const withDisk = wanted.filter((section) => WITH_DISK[section])
  if (withDisk.length > 0) {
    await using setting = await openSetting(options)
    for (const section of withDisk) {
      console.error(`\n${section}`)
      yield await WITH_DISK[section]!(setting)
    }
  }
  if (wanted.includes('growth')) {
    console.error('\ngrowth')
    yield await benchGrowth()
  }
  if (wanted.includes('api')) {
    await benchApi()
    await benchReports()
  }
}

try {
  await main(parseOptions(process.argv.slice(2)))
} finally {
  await closeTestPostgres()
}
