/**
 * A compressed trie that finds, without allocating, the values of all keys that begin (or end) a text. A lookup costs at most one step per
 * character of the text, however many keys there are.
 */

interface Node<V> {
  /** Characters of the edge that leads here. */
  label: string
  value: V | undefined
  readonly children: Map<number, Node<V>>
}

function newNode<V>(label: string): Node<V> {
  return { label, value: undefined, children: new Map() }
}

function commonLength(a: string, aStart: number, b: string): number {
  const limit = Math.min(a.length - aStart, b.length)
  let length = 0
  while (length < limit && a.charCodeAt(aStart + length) === b.charCodeAt(length)) length += 1
  return length
}

/** Keys → values; the empty key is found in every text. */
export class PrefixTree<V> {
  readonly #root: Node<V> = newNode('')
  readonly #fromEnd: boolean
  #size = 0

  /** @param fromEnd keys are suffixes: texts are read from their last character */
  constructor(fromEnd = false) {
    this.#fromEnd = fromEnd
  }

  get size(): number {
    return this.#size
  }

  /** The value of `key`, made by `make` when it is new. */
  getOrInsert(key: string, make: () => V): V {
    const node = this.#nodeFor(this.#fromEnd ? key.split('').reverse().join('') : key)
    if (node.value === undefined) {
      node.value = make()
      this.#size += 1
    }
    return node.value
  }

  #nodeFor(key: string): Node<V> {
    let node = this.#root
    let position = 0
    while (position < key.length) {
      const first = key.charCodeAt(position)
      const child = node.children.get(first)
      if (child === undefined) {
        const leaf = newNode<V>(key.slice(position))
        node.children.set(first, leaf)
        return leaf
      }
      const common = commonLength(key, position, child.label)
      position += common
      node = common === child.label.length ? child : this.#split(node, child, common)
    }
    return node
  }

  /** Puts a node in the middle of the edge `parent` → `child` and returns it. */
  #split(parent: Node<V>, child: Node<V>, at: number): Node<V> {
    const middle = newNode<V>(child.label.slice(0, at))
    child.label = child.label.slice(at)
    middle.children.set(child.label.charCodeAt(0), child)
    parent.children.set(middle.label.charCodeAt(0), middle)
    return middle
  }

  /**
   * Writes the values of all keys that begin (end) `text` to `found`, from index `count` on, shortest key first.
   *
   * @returns the new count
   */
  collect(text: string, found: V[], count: number): number {
    const length = text.length
    let total = count
    let position = 0
    let node: Node<V> | undefined = this.#root
    while (node !== undefined) {
      if (node.value !== undefined) {
        found[total] = node.value
        total += 1
      }
      if (position >= length) return total
      node = node.children.get(text.charCodeAt(this.#fromEnd ? length - 1 - position : position))
      if (node === undefined) return total
      const label: string = node.label
      if (label.length > length - position) return total
      // The first character is known to be equal: it chose the child.
      for (let index = 1; index < label.length; index += 1) {
        const at = position + index
        if (label.charCodeAt(index) !== text.charCodeAt(this.#fromEnd ? length - 1 - at : at)) return total
      }
      position += label.length
    }
    return total
  }
}
