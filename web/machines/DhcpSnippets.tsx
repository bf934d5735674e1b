import { Box, Code, Group, Tabs, Text, Title } from '@mantine/core'
import { dhcpSnippets, type SnippetOptions } from '#protocol/dhcp/dhcp-snippets.ts'
import { CopyButton } from '../components/CopyButton.tsx'
import classes from './machines.module.css'

interface DhcpSnippetsProps extends SnippetOptions {
  /** Without them no machine finds its way here. */
  isNeeded: boolean
}

/** Lines for the network's own DHCP server, with this server's addresses in them. */
export function DhcpSnippets({ isNeeded, ...options }: DhcpSnippetsProps) {
  const snippets = dhcpSnippets(options)
  return (
    <section aria-labelledby="dhcp-snippets">
      <Title order={2} size="h4" id="dhcp-snippets">
        {isNeeded ? 'Your DHCP server needs these lines' : 'If machines are on another segment'}
      </Title>
      <Text size="sm" c="dimmed" mb="sm">
        {isNeeded
          ? 'They send machines here for their boot files; addresses stay your DHCP server’s affair.'
          : 'There this server does not hear them. Put these lines into the DHCP server that they ask.'}
      </Text>
      <Tabs defaultValue={snippets[0]?.product ?? null} keepMounted={false}>
        <Tabs.List>
          {snippets.map(({ product, title }) => (
            <Tabs.Tab key={product} value={product}>
              {title}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        {snippets.map(({ product, title, where, text }) => (
          <Tabs.Panel key={product} value={product} pt="sm">
            <Group justify="space-between" mb={6} wrap="nowrap">
              <Text size="sm">Into {where}</Text>
              <CopyButton text={text} what={`the lines for ${title}`} withLabel />
            </Group>
            <Box
              tabIndex={0}
              role="region"
              aria-label={`Lines for ${title}`}
              className={classes.snippet}
            >
              <Code block bg="transparent" style={{ whiteSpace: 'pre', width: 'max-content' }}>
                {text}
              </Code>
            </Box>
          </Tabs.Panel>
        ))}
      </Tabs>
    </section>
  )
}
