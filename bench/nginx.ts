import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '#test/support/free-port.ts'

const START_SECONDS = 10

export interface StaticServer extends AsyncDisposable {
  url: string
  port: number
}

/** nginx as one would set it up to serve large files: sendfile, a process for each core. */
export async function openNginx(root: string, workFolder: string): Promise<StaticServer> {
  await mkdir(workFolder, { recursive: true })
  const port = await freePort()
  const configFile = join(workFolder, 'nginx.conf')
  await writeFile(configFile, configText({ root, workFolder, port }))
  const options = ['-p', workFolder, '-e', join(workFolder, 'error.log'), '-c', configFile]
  const child = spawn('nginx', options, { stdio: ['ignore', 'ignore', 'inherit'] })
  const url = `http://127.0.0.1:${port}`
  const ended = once(child, 'exit')
  for (const deadline = Date.now() + START_SECONDS * 1000; !(await answers(url));) {
    if (child.exitCode !== null || Date.now() > deadline) {
      child.kill()
      throw new Error(`nginx did not start; see ${join(workFolder, 'error.log')}`)
    }
    await sleep(50)
  }
  return {
    url,
    port,
    async [Symbol.asyncDispose]() {
      child.kill('SIGQUIT')
      await ended
    },
  }
}

function configText({ root, workFolder, port }: Record<string, string | number>): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${workFolder}/${name};`)
    .join(' ')
  return `daemon off; user root; worker_processes auto; pid ${workFolder}/nginx.pid;
events { worker_connections 1024; }
http {
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; ${temporary}
  server { listen 127.0.0.1:${port}; root ${root}; }
}
`
}

async function answers(url: string): Promise<boolean> {
  return await fetch(url, { signal: AbortSignal.timeout(1000) }).then(
    () => true,
    () => false,
  )
}
