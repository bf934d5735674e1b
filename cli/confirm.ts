import type { Context } from './context.ts'
import { CliError, EXIT, UsageError } from './errors.ts'
import { ask, canAsk } from './prompt.ts'
import { paint } from './text/text.ts'

/** Asks for `word` to be typed. Throws CliError for anything else, and where nobody can be asked. */
export async function confirmTyped(
  { say, signal }: Context,
  question: string,
  word: string,
): Promise<void> {
  say(question)
  if (!canAsk())
    throw new UsageError('This is no terminal to ask at; add --yes if that is what you want')
  const typed = await ask(`Type ${paint('bold', word)} to go on: `, {
    signal,
    instead: 'add --yes if that is what you want',
  })
  if (typed.trim() !== word)
    throw new CliError(EXIT.refused, `"${typed.trim()}" is not "${word}"; nothing was done`)
}
