/** Lines for other DHCP servers, so that machines boot from this one. Pure. */

export const DHCP_PRODUCTS = [
  'dnsmasq',
  'isc-dhcpd',
  'kea',
  'mikrotik',
  'openwrt',
  'windows',
] as const
export type DhcpProduct = (typeof DHCP_PRODUCTS)[number]

export interface DhcpSnippet {
  product: DhcpProduct
  title: string
  /** Where the lines belong. */
  where: string
  text: string
}

export interface SnippetOptions {
  /** Where TFTP answers. */
  serverAddress: string
  /** How machines reach us: `http://192.0.2.1:8080`. */
  url: string
  /** The boot files that exist. */
  bootFiles: readonly string[]
}

interface Loader {
  /** A word for names and tags. */
  key: string
  title: string
  /** Option 93 (RFC 4578 and the IANA registry), in the order of their importance. */
  architectures: number[]
  fileName: string
}

/** As `server/boot/boot-file.ts` chooses among them: the first that exists. */
const LOADERS: { key: string; title: string; architectures: number[]; files: string[] }[] = [
  { key: 'bios', title: 'BIOS', architectures: [0], files: ['undionly.kpxe'] },
  {
    key: 'efi-x64',
    title: 'UEFI x64',
    architectures: [7, 9],
    files: ['snponly.efi', 'ipxe.efi'],
  },
  {
    key: 'efi-x86',
    title: 'UEFI x86',
    architectures: [6],
    files: ['snponly-ia32.efi', 'ipxe-ia32.efi'],
  },
  {
    key: 'efi-arm64',
    title: 'UEFI ARM64',
    architectures: [11],
    files: ['snponly-arm64.efi', 'ipxe-arm64.efi'],
  },
]

/** What each product needs: a loader by TFTP for firmware, our script by HTTP for iPXE. */
export function dhcpSnippets(options: SnippetOptions): DhcpSnippet[] {
  const settings = {
    ...options,
    loaders: availableLoaders(options.bootFiles),
    script: scriptUrl(options),
  }
  return [
    {
      product: 'dnsmasq',
      title: 'dnsmasq',
      where: '/etc/dnsmasq.d/stampede.conf, then restart dnsmasq',
      text: dnsmasq(settings),
    },
    {
      product: 'isc-dhcpd',
      title: 'ISC dhcpd',
      where: '/etc/dhcp/dhcpd.conf, outside of or within the subnet',
      text: iscDhcpd(settings),
    },
    {
      product: 'kea',
      title: 'Kea',
      where: 'in "Dhcp4" of /etc/kea/kea-dhcp4.conf',
      text: kea(settings),
    },
    {
      product: 'mikrotik',
      title: 'MikroTik',
      where:
        'a terminal of RouterOS 7.16 or later; put in the names of your DHCP server and its pool',
      text: mikrotik(settings),
    },
    {
      product: 'openwrt',
      title: 'OpenWrt',
      where: 'a shell on the router',
      text: openWrt(settings),
    },
    {
      product: 'windows',
      title: 'Windows DHCP',
      where: 'PowerShell as administrator on the DHCP server',
      text: windows(settings),
    },
  ]
}

type Settings = SnippetOptions & { loaders: Loader[]; script: string }

/** The same address for every machine: this script asks iPXE for the MAC. */
function scriptUrl({ url }: SnippetOptions): string {
  return `${url.replace(/\/+$/, '')}/boot/files/autoexec.ipxe`
}

function availableLoaders(bootFiles: readonly string[]): Loader[] {
  return LOADERS.flatMap(({ files, ...loader }) => {
    const fileName = files.find((name) => bootFiles.includes(name))
    return fileName === undefined ? [] : [{ ...loader, fileName }]
  })
}

/** `7` as `0x0007`. */
function hex(architecture: number): string {
  return `0x${architecture.toString(16).padStart(4, '0')}`
}

function dnsmasq({ loaders, script, serverAddress }: Settings): string {
  return [
    '# iPXE, once it runs, gets its script; firmware gets iPXE.',
    'dhcp-userclass=set:ipxe,iPXE',
    ...loaders.flatMap(({ key, architectures }) =>
      architectures.map((number) => `dhcp-match=set:${key},option:client-arch,${number}`),
    ),
    `dhcp-boot=tag:ipxe,${script}`,
    ...loaders.map(
      ({ key, fileName }) => `dhcp-boot=tag:!ipxe,tag:${key},${fileName},,${serverAddress}`,
    ),
  ].join('\n')
}

function iscDhcpd({ loaders, script, serverAddress }: Settings): string {
  const branches = loaders.flatMap(({ architectures, fileName }) => {
    const octets = architectures.map((number) => hex(number).replace(/^0x(..)(..)$/, '$1:$2'))
    const test = octets.map((value) => `option stampede-arch = ${value}`).join(' or ')
    return [`} elsif ${test} {`, `  filename "${fileName}";`]
  })
  return [
    'option stampede-arch code 93 = string;',
    `next-server ${serverAddress};`,
    'if exists user-class and option user-class = "iPXE" {',
    `  filename "${script}";`,
    ...branches,
    '}',
  ].join('\n')
}

function kea({ loaders, script, serverAddress }: Settings): string {
  const ipxe = {
    name: 'stampede-ipxe',
    test: "substring(option[77].hex,0,4) == 'iPXE'",
    'boot-file-name': script,
  }
  const firmware = loaders.map(({ key, architectures, fileName }) => {
    const tests = architectures.map((number) => `option[93].hex == ${hex(number)}`)
    return {
      name: `stampede-${key}`,
      test: `not member('stampede-ipxe') and (${tests.join(' or ')})`,
      'next-server': serverAddress,
      'boot-file-name': fileName,
    }
  })
  const entries = [ipxe, ...firmware].map((entry) => `  ${JSON.stringify(entry)}`)
  return ['"client-classes": [', entries.join(',\n'), ']'].join('\n')
}

function mikrotik({ loaders, script, serverAddress }: Settings): string {
  const optionSet = (key: string, fileName: string) => [
    `/ip dhcp-server option add name=stampede-${key} code=67 value="s'${fileName}'"`,
    `/ip dhcp-server option sets add name=stampede-${key} options=stampede-${key}`,
  ]
  const matcher = (name: string, key: string, test: string) =>
    `/ip dhcp-server matcher add name=stampede-${name} server=YOUR-SERVER address-pool=YOUR-POOL ${test} option-set=stampede-${key}`
  return [
    '# The first matcher that fits wins, so iPXE comes before the firmware below it.',
    `/ip dhcp-server network set [find] next-server=${serverAddress}`,
    ...optionSet('ipxe', script),
    matcher('ipxe', 'ipxe', 'code=77 matching-type=substring value="iPXE"'),
    ...loaders.flatMap(({ key, architectures, fileName }) => [
      ...optionSet(key, fileName),
      ...architectures.map((number) =>
        matcher(
          `${key}-${number}`,
          key,
          `code=60 matching-type=substring value="${vendorClass(number)}"`,
        ),
      ),
    ]),
  ].join('\n')
}

/** How option 60 of firmware of this kind begins (PXE specification 2.1). */
function vendorClass(architecture: number): string {
  return `PXEClient:Arch:${String(architecture).padStart(5, '0')}`
}

/** Its DHCP server is dnsmasq, which reads this file beside what the router writes. */
function openWrt(settings: Settings): string {
  return [
    "cat >> /etc/dnsmasq.conf <<'END'",
    dnsmasq(settings),
    'END',
    'service dnsmasq restart',
  ].join('\n')
}

function windows({ loaders, script, serverAddress }: Settings): string {
  const classes = loaders.flatMap(({ title, architectures, fileName }) =>
    architectures.map((number) => ({ name: `Stampede ${title} (${number})`, number, fileName })),
  )
  return [
    "Add-DhcpServerv4Class -Name 'Stampede iPXE' -Type User -Data 'iPXE'",
    ...classes.map(
      ({ name, number }) =>
        `Add-DhcpServerv4Class -Name '${name}' -Type Vendor -Data '${vendorClass(number)}'`,
    ),
    "Add-DhcpServerv4Policy -Name 'Stampede iPXE' -Condition OR -UserClass EQ,'Stampede iPXE'",
    `Set-DhcpServerv4OptionValue -PolicyName 'Stampede iPXE' -OptionId 67 -Value '${script}'`,
    ...classes.flatMap(({ name, fileName }) => [
      `Add-DhcpServerv4Policy -Name '${name}' -Condition AND -VendorClass EQ,'${name}*' -UserClass NE,'Stampede iPXE'`,
      `Set-DhcpServerv4OptionValue -PolicyName '${name}' -OptionId 66 -Value '${serverAddress}'`,
      `Set-DhcpServerv4OptionValue -PolicyName '${name}' -OptionId 67 -Value '${fileName}'`,
    ]),
  ].join('\n')
}
