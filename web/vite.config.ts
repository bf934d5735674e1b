import { join } from 'node:path'
import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'
import { precompress } from './precompress.ts'
import { swapBuild } from './swap-build.ts'

/** Where `npm run dev` listens; the page of Vite's own server talks to it. */
const SERVER = process.env['STAMPEDE_URL'] ?? 'http://127.0.0.1:8080'
const root = import.meta.dirname

export default defineConfig({
  root,
  plugins: [react(), precompress(), swapBuild(join(root, 'dist'))],
  build: {
    outDir: `.dist-${process.pid}`,
    // Those that know light-dark(): else it would be spelled out, against Mantine's way of switching.
    target: ['chrome123', 'edge123', 'firefox120', 'safari17.5'],
    // It is little, and of what does not come with a page Vite says another sentence than of its code.
    cssCodeSplit: false,
    // The page's Content-Security-Policy knows no data: addresses of scripts and fonts.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 700,
  },
  server: { proxy: { '^/(api|images/by-digest|chunks)(/|$)': SERVER } },
})
