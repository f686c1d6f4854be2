// A map that is only made when there is something in it: an empty Map takes 184 bytes, and of what a cloud keeps for each hub
// most is empty most of the time.

export class LazyMap<K, V> implements Iterable<[K, V]> {
  #map: Map<K, V> | undefined;

  get size(): number {
    return this.#map?.size ?? 0;
  }

  get(key: K): V | undefined {
    return this.#map?.get(key);
  }

  set(key: K, value: V): this {
    this.#map ??= new Map();
    this.#map.set(key, value);
    return this;
  }

  /** Whether it was there. */
  delete(key: K): boolean {
    const wasThere = this.#map?.delete(key) ?? false;
    if (this.#map?.size === 0) this.#map = undefined;
    return wasThere;
  }

  clear(): void {
    this.#map = undefined;
  }

  keys(): Iterable<K> {
    return this.#map?.keys() ?? [];
  }

  values(): Iterable<V> {
    return this.#map?.values() ?? [];
  }

  [Symbol.iterator](): Iterator<[K, V]> {
    return (this.#map?.entries() ?? [])[Symbol.iterator]();
  }
}
