/** The value of a JSON text; undefined for any other text, whose parse error is dropped since its message would quote the text. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
