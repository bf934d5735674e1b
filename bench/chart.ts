import { View, parse } from 'vega'
import { compile, type TopLevelSpec } from 'vega-lite'
import { formatValue, median, type Measurement } from './measurement.ts'

/** A picture of one run: bars beside each other only where they measure the same. */

interface Group {
  title: string
  isOf: (key: string) => boolean
}

/** Ours first, in the colour of the web interface. */
const COLOURS = { ours: '#1971c2', others: '#adb5bd' }
const BAR_PIXELS = 22
const WIDTH_PIXELS = 420
const LABEL_PIXELS = 330

const GROUPS: readonly Group[] = [
  { title: 'Deploy to a blank disk', isOf: (key) => key.startsWith('deploy/') },
  {
    title: 'Deploy again, where 100 MB differ',
    isOf: (key) => /^redeploy\/(stampede|read-used|partclone)$/.test(key),
  },
  {
    title: 'Capture',
    isOf: (key) => key.startsWith('capture/') && !key.endsWith('-stored'),
  },
  {
    title: 'Image stored',
    isOf: (key) => /^capture\/.*-stored$|^recompress\/stampede$/.test(key),
  },
  { title: 'Five versions stored', isOf: (key) => /^growth\/[a-z]+$/.test(key) },
  { title: 'Serve .img.gz to 64 clients', isOf: (key) => /^serve\/image-.*-64$/.test(key) },
  { title: 'Serve chunks to 64 clients', isOf: (key) => /^serve\/chunks-.*-64$/.test(key) },
]

export interface ChartGroup {
  title: string
  bars: Measurement[]
}

/** Only groups of which something was measured. */
export function chartGroups(measurements: readonly Measurement[]): ChartGroup[] {
  return GROUPS.map(({ title, isOf }) => ({
    title,
    bars: measurements.filter(({ key }) => isOf(key)),
  })).filter(({ bars }) => bars.length > 0)
}

/** An SVG that reads well on white and on dark pages. */
export async function drawChart(measurements: readonly Measurement[]): Promise<string> {
  const spec: TopLevelSpec = {
    background: 'white',
    padding: 12,
    vconcat: chartGroups(measurements).map(groupSpec),
    spacing: 24,
    config: { font: 'sans-serif', view: { stroke: null } },
  }
  return await new View(parse(compile(spec).spec), { renderer: 'none' }).toSVG()
}

function groupSpec({ title, bars }: ChartGroup) {
  const values = bars.map(({ key, name, unit, rounds }) => ({
    name,
    value: median(rounds),
    label: formatValue(median(rounds), unit),
    side: key.includes('stampede') ? 'ours' : 'others',
  }))
  const y = {
    field: 'name',
    type: 'nominal' as const,
    sort: null,
    axis: {
      title: null,
      // Without a canvas widths are guessed, and guessed too wide.
      labelLimit: 2 * LABEL_PIXELS,
      ticks: false,
      domain: false,
      minExtent: LABEL_PIXELS,
      maxExtent: LABEL_PIXELS,
    },
  }
  const x = { field: 'value', type: 'quantitative' as const, axis: null }
  const range = { domain: Object.keys(COLOURS), range: Object.values(COLOURS) }
  return {
    // Over the bars: where the labels begin differs from group to group.
    title: { text: title, anchor: 'start' as const, frame: 'group' as const, fontSize: 14 },
    width: WIDTH_PIXELS,
    height: { step: BAR_PIXELS },
    data: { values },
    layer: [
      {
        mark: { type: 'bar' as const, cornerRadiusEnd: 2 },
        encoding: {
          y,
          x,
          color: { field: 'side', type: 'nominal' as const, scale: range, legend: null },
        },
      },
      {
        mark: { type: 'text' as const, align: 'left' as const, dx: 4 },
        encoding: { y, x, text: { field: 'label' } },
      },
    ],
  }
}
