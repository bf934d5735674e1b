import type { Command } from 'commander'
import { COMPLETION_MILLISECONDS, complete } from '../completion.ts'
import { createContext, action } from '../context.ts'
import { UsageError } from '../errors.ts'
import { examples } from '../help.ts'

const BASH = `# Completion of stampede for bash.
_stampede() {
  local line value rest full tail prefix
  local -a words=()
  line=\${COMP_LINE:0:COMP_POINT}
  read -ra words <<< "$line"
  [[ $line == *[[:space:]] ]] && words+=('')
  full=\${words[\${#words[@]}-1]}
  # bash takes what follows a colon or an equals sign for a word of its own.
  tail=\${full##*[:=]}
  prefix=\${full%"$tail"}
  COMPREPLY=()
  while IFS=$'\\t' read -r value rest; do
    if [[ $value == :files ]]; then
      compopt -o default
      return
    fi
    COMPREPLY+=("\${value#"$prefix"}")
  done < <("\${words[0]}" __complete -- "\${words[@]:1}" 2>/dev/null)
}
complete -F _stampede stampede
`

const ZSH = `#compdef stampede
# Completion of stampede for zsh.
_stampede() {
  local value description
  local -a found
  while IFS=$'\\t' read -r value description; do
    if [[ $value == :files ]]; then
      _files
      return
    fi
    found+=("\${value//:/\\\\:}:$description")
  done < <("\${words[1]}" __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)
  _describe -V stampede found
}
compdef _stampede stampede
`

export function addCompletion(program: Command, signal: AbortSignal): void {
  program
    .command('completion <shell>')
    .description(
      'Print the completion of commands, options, machines, images and runs, for bash or zsh',
    )
    .addHelpText(
      'after',
      examples(
        'source <(stampede completion bash)     # in ~/.bashrc',
        'eval "$(stampede completion zsh)"      # in ~/.zshrc, after compinit',
      ),
    )
    .action(
      action<[string]>(signal, async ({ print }, shell) => {
        if (shell !== 'bash' && shell !== 'zsh')
          throw new UsageError(`Completion is for bash and zsh, not for "${shell}"`)
        print((shell === 'bash' ? BASH : ZSH).trimEnd())
      }),
    )
  program
    .command('__complete', { hidden: true })
    .argument('[words...]')
    .allowUnknownOption()
    .action(async (words: string[]) => {
      const limit = AbortSignal.any([signal, AbortSignal.timeout(COMPLETION_MILLISECONDS)])
      const { api, print } = createContext({}, limit)
      // Whatever fails: no candidates, and no words in the middle of a command line.
      const found = await complete(program, words, api).catch(() => [])
      if (found === 'files') print(':files')
      else for (const { value, description } of found) print(`${value}\t${oneLine(description)}`)
    })
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ')
}
