import type { Table } from '../markdown.ts'
import type { Measurement } from '../measurement.ts'

/** What a section found: all of it, and what people are shown. */
export interface SectionResult {
  measurements: Measurement[]
  tables: Table[]
  /** Lines below the tables. */
  notes?: string[]
}
