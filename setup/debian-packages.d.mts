export const PACKAGES: Record<'server' | 'initramfs' | 'lab' | 'test' | 'bench', string[]>
