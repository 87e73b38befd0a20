/** A value that is at hand, or one to wait for: a request whose answers are stored costs no promise. */
export type Soon<T> = T | Promise<T>

/** Goes on with `next` at once where nothing has to be waited for. */
export function andThen<T, R>(value: Soon<T>, next: (value: T) => Soon<R>): Soon<R> {
  return value instanceof Promise ? value.then(next) : next(value)
}
