/** Escapes text for HTML. */
export function escapeHtml(text: string): string {
  return text.replace(
    /[&<>"]/g,
    (char) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[char] as string,
  );
}

export interface Figure {
  title: string;
  /** What one sees. HTML. */
  caption: string;
  pictures: readonly FigurePicture[];
}

export interface FigurePicture {
  /** Name in the page's folder. */
  file: string;
  /** What it shows, for those who cannot see it. */
  alt: string;
  /** A line of text below it. */
  below?: string;
}

export interface Page {
  title: string;
  /** Pairs of name and value. */
  facts: readonly (readonly [string, string])[];
  figures: readonly Figure[];
  attribution: string;
}

const CSS = `
:root { color-scheme: light dark; --ink: #1d2330; --soft: #5c6675; --paper: #fbfaf8; --line: #dfdcd5; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e6e1; --soft: #a2a9b4; --paper: #16181d; --line: #30343c; } }
body { margin: 0 auto; max-width: 1140px; padding: 2rem 1.25rem 4rem; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, sans-serif; }
h1 { font-size: 1.9rem; margin: 0 0 .5rem; } h2 { font-size: 1.2rem; margin: 0 0 .35rem; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: .75rem 1.5rem; margin: 1.25rem 0 0; }
dt { color: var(--soft); font-size: .82rem; } dd { margin: 0; overflow-wrap: anywhere; }
figure { margin: 2.5rem 0 0; padding-top: 1.25rem; border-top: 1px solid var(--line); }
figcaption { color: var(--soft); margin-bottom: .9rem; max-width: 78ch; }
.pictures { display: flex; flex-wrap: wrap; gap: .75rem; } .pictures div { min-width: 0; }
img { max-width: 100%; height: auto; display: block; border-radius: 3px; background: #fff; }
small { color: var(--soft); font-size: .8rem; } footer { margin-top: 3rem; color: var(--soft); font-size: .85rem; }
`;

/** A page that needs nothing but its own pictures; every figure carries the map's attribution. */
export function renderPage({ title, facts, figures, attribution }: Page): string {
  const credit = `Map data ${escapeHtml(attribution).replace(/openstreetmap\.org\/copyright/, '<a href="https://www.openstreetmap.org/copyright">$&</a>')}`;
  const list = facts
    .map(([name, value]) => `<div><dt>${escapeHtml(name)}</dt><dd>${escapeHtml(value)}</dd></div>`)
    .join("");
  const shown = figures.map(({ title: heading, caption, pictures }) => {
    const images = pictures.map(
      ({ file, alt, below }) =>
        `<div><img src="${escapeHtml(file)}" alt="${escapeHtml(alt)}">${below === undefined ? "" : `<small>${escapeHtml(below)}</small>`}</div>`,
    );
    return `<figure><h2>${escapeHtml(heading)}</h2><figcaption>${caption} <small>${credit}</small></figcaption><div class="pictures">${images.join("")}</div></figure>`;
  });
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title><style>${CSS}</style></head>
<body><h1>${escapeHtml(title)}</h1><dl>${list}</dl>
${shown.join("\n")}
<footer>${credit}</footer></body></html>
`;
}
