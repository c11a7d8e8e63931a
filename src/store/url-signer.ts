// Links to objects, for people without credentials: whoever has one reads the object until it expires.

export interface UrlSigner {
  /** When the credentials themselves expire, and all links with them, where that is known. */
  readonly credentialsExpireAt: Date | undefined
  /**
   * @param key - Of an object; whether it is there is not asked.
   * @param file - Name under which browsers save it; ASCII, without quotes.
   * @param seconds - From now; S3 takes seven days at most.
   * @throws CoreliftError `E_STORE_CREDENTIALS`
   */
  sign(key: string, file: string, seconds: number): Promise<string>
  close(): void
}
