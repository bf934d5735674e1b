import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'
import { precompress } from './precompress.ts'

/** Where `npm run dev` listens; the page of Vite's own server talks to it. */
const SERVER = process.env['STAMPEDE_URL'] ?? 'http://127.0.0.1:8080'

export default defineConfig({
  root: import.meta.dirname,
  plugins: [react(), precompress()],
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    // Those that know light-dark(): else it would be spelled out, against Mantine's way of switching.
    target: ['chrome123', 'edge123', 'firefox120', 'safari17.5'],
    // The page's Content-Security-Policy knows no data: addresses of scripts and fonts.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 700,
  },
  // The interface has a folder `api` of its own.
  server: {
    proxy: {
      '^/(api/(?!.*[.]tsx?)|images/by-digest/|chunks/)': { target: SERVER, changeOrigin: false },
    },
  },
})
