import { SignatureError } from '@ironflow/core';

const encoder = new TextEncoder();

/**
 * Checks that the body was signed with one of the keys: `x-ironflow-signature: sha256=<hex>`, HMAC-SHA256 over the raw body.
 * @throws {SignatureError} SIGNATURE_MISSING or SIGNATURE_INVALID.
 */
export async function verifySignature(
  body: string,
  header: string | undefined,
  signingKeys: readonly string[],
): Promise<void> {
  if (header === undefined || header === '') {
    throw new SignatureError('The request is not signed. Give the engine the same signing key: IRONFLOW_SIGNING_KEY.', {
      code: 'SIGNATURE_MISSING',
    });
  }
  const signature = bytesFromHex(/^sha256=([0-9a-f]{64})$/i.exec(header.trim())?.[1]);
  for (const signingKey of signingKeys) {
    if (signature === undefined) break;
    const key = await crypto.subtle.importKey(
      'raw',
      encoder.encode(signingKey),
      { name: 'HMAC', hash: 'SHA-256' },
      false,
      ['verify'],
    );
    // The platform compares in constant time.
    if (await crypto.subtle.verify('HMAC', key, signature, encoder.encode(body))) return;
  }
  throw new SignatureError(
    'The signature does not fit the body: it was made with another key, or the body was changed on its way.',
  );
}

function bytesFromHex(hex: string | undefined): Uint8Array<ArrayBuffer> | undefined {
  if (hex === undefined) return undefined;
  return Uint8Array.from({ length: hex.length / 2 }, (_, i) => Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16));
}
