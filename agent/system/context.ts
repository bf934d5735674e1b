import type { StepContext } from '../steps/step.ts'

/** What work on the deployed system needs of a step's context. */
export type SystemContext = Pick<StepContext, 'exec' | 'log' | 'warn'> & {
  /** The target: nothing outside of it is read, mounted or activated. */
  readonly disk: { readonly path: string }
  readonly run: Pick<StepContext['run'], 'image'>
}
