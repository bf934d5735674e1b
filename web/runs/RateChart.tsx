import { AreaChart } from '@mantine/charts'
import '@mantine/charts/styles.css'
import { formatDuration, formatRate } from '../components/format.ts'
import type { RateSample } from './rate-samples.ts'

/** The rate over the time that somebody looked. Loaded on its own: charts are heavy. */
export function RateChart({ samples }: { samples: readonly RateSample[] }) {
  const start = samples[0]?.at ?? 0
  const data = samples.map(({ at, bytesPerSecond }) => ({
    seconds: (at - start) / 1000,
    rate: bytesPerSecond,
  }))
  return (
    <AreaChart
      h={140}
      data={data}
      dataKey="seconds"
      series={[{ name: 'rate', label: 'Rate', color: 'indigo.6' }]}
      valueFormatter={formatRate}
      xAxisProps={{
        type: 'number',
        domain: ['dataMin', 'dataMax'],
        tickFormatter: (seconds: number) => formatDuration(seconds),
        minTickGap: 48,
      }}
      yAxisProps={{ width: 84, tickCount: 3 }}
      curveType="linear"
      withDots={false}
      fillOpacity={0.25}
      gridAxis="y"
      areaChartProps={{ accessibilityLayer: false }}
      areaProps={{ isAnimationActive: false }}
    />
  )
}
