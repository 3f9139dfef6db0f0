/** A value that others are told of when it changes. */
export interface Signal<T> {
  readonly value: T;
  set(value: T): void;
  /** Called at once, and whenever it has changed. */
  watch(listener: (value: T) => void): void;
}

export function createSignal<T>(initial: T): Signal<T> {
  let value = initial;
  const listeners: ((value: T) => void)[] = [];
  return {
    get value() {
      return value;
    },
    set(next) {
      if (Object.is(next, value)) return;
      value = next;
      for (const listener of listeners) listener(value);
    },
    watch(listener) {
      listeners.push(listener);
      listener(value);
    },
  };
}
