import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';

/** Text that nobody reads without the key. */
export interface Sealed {
  /** Which key it was sealed with: the first 12 hex digits of its SHA-256. */
  readonly keyId: string;
  /** Nonce, ciphertext and tag, in base64. */
  readonly sealed: string;
}

/**
 * Seals text at rest: AES-256-GCM, with a random nonce each time. The context (what the text is and where it stands) is
 * authenticated with it: sealed text that was moved to another place does not open.
 */
export interface SecretBox {
  /** Undefined when there is no key. */
  readonly keyId: string | undefined;
  has(keyId: string): boolean;
  /** Uses the first key. @throws {TypeError} when there is none: ask `keyId` before. */
  seal(text: string, context: string): Sealed;
  /** @throws {TypeError} when the key is not there; {Error} when it was changed, or belongs somewhere else. */
  open(sealed: Sealed, context: string): string;
}

const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** @param keys - As their bytes; the first seals, all open. */
export function createSecretBox(keys: readonly Uint8Array[]): SecretBox {
  const byId = new Map(keys.map((key) => [keyIdOf(key), key]));
  const [first] = byId.keys();
  const keyOf = (keyId: string | undefined): Uint8Array => {
    const key = byId.get(keyId ?? '');
    if (key === undefined) throw new TypeError(`there is no key ${keyId}`);
    return key;
  };
  return {
    keyId: first,
    has: (keyId) => byId.has(keyId),
    seal(text, context) {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv('aes-256-gcm', keyOf(first), nonce).setAAD(Buffer.from(context));
      const parts = [nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()];
      return { keyId: first ?? '', sealed: Buffer.concat(parts).toString('base64') };
    },
    open({ keyId, sealed }, context) {
      const bytes = Buffer.from(sealed, 'base64');
      const decipher = createDecipheriv('aes-256-gcm', keyOf(keyId), bytes.subarray(0, NONCE_BYTES))
        .setAAD(Buffer.from(context))
        .setAuthTag(bytes.subarray(-TAG_BYTES));
      const parts = [decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()];
      return Buffer.concat(parts).toString('utf8');
    },
  };
}

/** The bytes of a key that is written as 64 hex digits or in base64; undefined when it is not 32 bytes. */
export function secretKeyFrom(text: string): Uint8Array | undefined {
  const bytes = /^[0-9a-f]{64}$/i.test(text) ? Buffer.from(text, 'hex') : Buffer.from(text, 'base64');
  const isBase64 = /^[A-Za-z0-9+/_-]+={0,2}$/.test(text);
  return bytes.length === KEY_BYTES && isBase64 ? bytes : undefined;
}

const keyIdOf = (key: Uint8Array) => createHash('sha256').update(key).digest('hex').slice(0, 12);
