// Node.js as a peer of the comparison: its own `http` and `http2`, one process, a Set of responses.
// node node.mjs READY_FILE CERTIFICATE KEY
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createSecureServer } from 'node:http2'

const [ready, certificate, key] = process.argv.slice(2)
const subscribers = new Set()

function handle(request, response) {
  if (request.method === 'GET') {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' })
    response.flushHeaders()
    subscribers.add(response)
    response.on('close', () => subscribers.delete(response))
    return
  }
  let body = ''
  request.setEncoding('utf8')
  request.on('data', part => { body += part })
  request.on('end', () => {
    for (const data of body.split('\n')) {
      const event = `data: ${data}\n\n`
      for (const subscriber of subscribers) subscriber.write(event)
    }
    response.writeHead(200, { 'content-length': 0 }).end()
  })
}

const plain = createServer(handle)
const secure = createSecureServer(
  { allowHTTP1: true, cert: readFileSync(certificate), key: readFileSync(key) },
  handle,
)
const listen = server => new Promise(done => server.listen(0, '127.0.0.1', () => done(server.address())))
const [http, https] = [await listen(plain), await listen(secure)]
writeFileSync(`${ready}.part`, JSON.stringify({
  http: `http://127.0.0.1:${http.port}`,
  https: `https://127.0.0.1:${https.port}`,
}))
renameSync(`${ready}.part`, ready)
