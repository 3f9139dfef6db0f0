type Child = Node | string | undefined;
type Listeners = { [K in keyof HTMLElementEventMap as `on${K}`]?: (event: HTMLElementEventMap[K]) => void };
type Attributes = Readonly<Record<string, string | number | boolean | undefined>>;

/** An element with attributes, children and listeners. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  children: readonly Child[] = [],
  listeners: Listeners = {},
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes))
    if (value !== undefined && value !== false)
      element.setAttribute(name, value === true ? "" : String(value));
  element.append(...children.filter((child) => child !== undefined));
  for (const [name, listener] of Object.entries(listeners))
    element.addEventListener(name.slice(2), listener as EventListener);
  return element;
}

/** A labelled choice. */
export function choice(
  label: string,
  options: readonly (readonly [value: string, text: string])[],
  onChange: (value: string) => void,
): { element: HTMLElement; set(value: string): void } {
  const select = h(
    "select",
    {},
    options.map(([value, text]) => h("option", { value }, [text])),
    {
      onchange: () => onChange(select.value),
    },
  );
  return {
    element: h("label", { class: "field" }, [h("span", {}, [label]), select]),
    set(value) {
      select.value = value;
    },
  };
}

/** Metres as people say them. */
export function sayMetres(metres: number): string {
  if (metres < 1000) return `${Math.round(metres)} m`;
  return `${(metres / 1000).toFixed(metres < 10_000 ? 1 : 0)} km`;
}

/** Gives a file to be kept. */
export function download(name: string, blob: Blob): void {
  const url = URL.createObjectURL(blob);
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
