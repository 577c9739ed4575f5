/** What was asked for once is answered for all, a failure too. */
export function memo<T>(
  map: Map<string, Promise<T>>,
  key: string,
  work: () => Promise<T>,
): Promise<T> {
  const known = map.get(key);
  if (known !== undefined) return known;
  const result = work();
  map.set(key, result);
  return result;
}
