import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { limits } from '@ironflow/core';

export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
}

/** Bytes of an answer that are read; steps of a whole execution may be in it. */
const ANSWER_BYTES_MAX = 8 * limits.bodyBytesMax;

/** Posts JSON over connections that are kept open. */
export class HttpPoster {
  readonly #http = new HttpAgent({ keepAlive: true, maxFreeSockets: 1_000 });
  readonly #https = new HttpsAgent({ keepAlive: true, maxFreeSockets: 1_000 });

  /** @throws when the host cannot be reached, the connection breaks, or `signal` ends it. */
  post(url: URL, body: string, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<HttpAnswer> {
    const secure = url.protocol === 'https:';
    return new Promise((resolve, reject) => {
      const request = (secure ? httpsRequest : httpRequest)(
        url,
        {
          method: 'POST',
          agent: secure ? this.#https : this.#http,
          headers: { ...headers, 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
          signal,
        },
        (response) => {
          const chunks: Buffer[] = [];
          let bytes = 0;
          response.on('data', (chunk: Buffer) => {
            bytes += chunk.length;
            if (bytes > ANSWER_BYTES_MAX)
              request.destroy(new Error(`the answer is larger than ${ANSWER_BYTES_MAX} bytes`));
            else chunks.push(chunk);
          });
          response.on('end', () =>
            resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') }),
          );
          response.on('error', reject);
        },
      );
      request.on('error', reject);
      request.end(body);
    });
  }

  close(): void {
    this.#http.destroy();
    this.#https.destroy();
  }
}
