/** Escapes text for HTML. */
export function escapeHtml(text: string): string {
  return text.replace(
    /[&<>"]/g,
    (char) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[char] as string,
  );
}

/** A figure of a page; plain words. */
export interface Figure {
  /** Its anchor. */
  id: string;
  title: string;
  /** Which of Loc2Vec's figures it is. */
  number?: string;
  /** What one sees. */
  caption: string;
  /** What to look for in it. */
  look?: string;
  /** How it was made. */
  made?: string;
  pictures: readonly FigurePicture[];
}

export interface FigurePicture {
  /** Name in the page's folder. */
  file: string;
  /** What it shows, for those who cannot see it. */
  alt: string;
  /** How large a person sees it, CSS pixels. */
  width: number;
  height: number;
  /** A line of text below it. */
  below?: string;
}

/** A figure that was not drawn. */
export interface LeftOut {
  title: string;
  number?: string;
  /** What it lacks, as a sentence. */
  why: string;
}

export interface Page {
  title: string;
  /** Pairs of name and value. */
  facts: readonly (readonly [string, string])[];
  figures: readonly Figure[];
  leftOut?: readonly LeftOut[];
  attribution: string;
}

const CSS = `
:root { color-scheme: light dark; --ink: #1d2330; --soft: #5c6675; --paper: #fbfaf8; --line: #dfdcd5; --link: #1f5fa8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e6e1; --soft: #a2a9b4; --paper: #16181d; --line: #30343c; --link: #8db8ea; } }
body { margin: 0 auto; max-width: 1100px; padding: 2rem 1.25rem 4rem; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, sans-serif; }
h1 { font-size: 1.9rem; margin: 0 0 .5rem; } h2 { font-size: 1.2rem; margin: 0 0 .35rem; }
h2 small { color: var(--soft); font-weight: 400; font-size: .9rem; margin-left: .4rem; }
a { color: var(--link); }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: .75rem 1.5rem; margin: 1.25rem 0 0; }
dt { color: var(--soft); font-size: .85rem; } dd { margin: 0; overflow-wrap: anywhere; }
nav ol { columns: 16rem; column-gap: 3rem; margin: 1.5rem 0 0; padding-left: 1.6rem; } nav li { break-inside: avoid; }
figure { margin: 2.5rem 0 0; padding-top: 1.25rem; border-top: 1px solid var(--line); }
figcaption p { margin: 0 0 .6rem; max-width: 78ch; } figcaption .made { color: var(--soft); font-size: .92rem; }
.pictures { display: flex; flex-wrap: wrap; gap: 1.25rem .9rem; margin-top: .9rem; }
.pictures > div { min-width: 0; max-width: 100%; overflow-x: auto; }
img { display: block; max-width: none; }
small { color: var(--soft); font-size: .85rem; } footer { margin-top: 3rem; color: var(--soft); font-size: .85rem; }
`;

/** What stands before a figure's title in lists of them. */
function numberText(number: string | undefined): string {
  return number === undefined
    ? ""
    : ` <small>Loc2Vec’s figure${/\D/.test(number) ? "s" : ""} ${number}</small>`;
}

/**
 * A page that needs nothing but its own pictures; every figure carries the map's attribution. Pictures keep their size, so
 * that words in them can be read; on a narrow screen they are scrolled sideways.
 */
export function renderPage({ title, facts, figures, leftOut = [], attribution }: Page): string {
  const credit = `Map data ${escapeHtml(attribution).replace(/openstreetmap\.org\/copyright/, '<a href="https://www.openstreetmap.org/copyright">$&</a>')}`;
  const list = facts
    .map(([name, value]) => `<div><dt>${escapeHtml(name)}</dt><dd>${escapeHtml(value)}</dd></div>`)
    .join("");
  const contents = figures.map(
    ({ id, title: heading }) => `<li><a href="#${escapeHtml(id)}">${escapeHtml(heading)}</a></li>`,
  );
  const lacking = leftOut.map(
    ({ title: heading, number, why }) =>
      `<li><b>${escapeHtml(heading)}</b>${numberText(number)}: ${escapeHtml(why)}</li>`,
  );
  const out =
    lacking.length === 0
      ? ""
      : `<section id="left-out"><h2>Left out</h2><ul>\n${lacking.join("\n")}\n</ul></section>`;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title><style>${CSS}</style></head>
<body><h1>${escapeHtml(title)}</h1><dl>${list}</dl>
<nav aria-label="Figures"><ol>${contents.join("")}</ol></nav>
${figures.map((figure) => renderFigure(figure, credit)).join("\n")}
${out}
<footer>${credit}</footer></body></html>
`;
}

function renderFigure({ id, title, number, caption, look, made, pictures }: Figure, credit: string): string {
  const images = pictures.map(
    ({ file, alt, width, height, below }) =>
      `<div><img src="${escapeHtml(file)}" alt="${escapeHtml(alt)}" width="${width}" height="${height}">${below === undefined ? "" : `<small>${escapeHtml(below)}</small>`}</div>`,
  );
  const tips = look === undefined ? "" : `<p><b>Look for:</b> ${escapeHtml(look)}</p>`;
  const how = made === undefined ? "" : `<b>How it was made:</b> ${escapeHtml(made)} `;
  return `<figure id="${escapeHtml(id)}"><h2>${escapeHtml(title)}${numberText(number)}</h2>
<figcaption><p>${escapeHtml(caption)}</p>${tips}<p class="made">${how}${credit}.</p></figcaption>
<div class="pictures">${images.join("\n")}</div></figure>`;
}

/** What a page tells in a line or so, for a README. */
export interface Digest extends Pick<Page, "title" | "figures" | "leftOut" | "attribution"> {
  /** What draws it again. */
  command: string;
}

/** The pictures of a page in its order, each figure with its first sentence, as Markdown that GitHub shows. */
export function renderReadme({ title, figures, leftOut = [], attribution, command }: Digest): string {
  const told = figures.map(({ title: heading, number, caption, pictures }) => {
    const of = number === undefined ? "" : `, figure${/\D/.test(number) ? "s" : ""} ${number} of Loc2Vec`;
    const images = pictures.map(
      ({ file, alt, width }) => `<img src="${escapeHtml(file)}" alt="${escapeHtml(alt)}" width="${width}">`,
    );
    return `## ${heading}${of}\n\n${firstSentence(caption)}\n\n${images.join("\n")}\n`;
  });
  const out = leftOut.map(({ title: heading, why }) => `- ${heading}: ${why}\n`);
  const left = out.length === 0 ? "" : `## Left out\n\n${out.join("")}\n`;
  return `# ${title}

Written by \`${command}\`, which draws it again. [index.html](index.html) has the same pictures with more words: what to look for, and how each was made. Open it from disk.

${told.join("\n")}
${left}Map data ${attribution}
`;
}

function firstSentence(text: string): string {
  return /^.*?[.:](?= [A-Z“]|$)/.exec(text)?.[0].replace(/:$/, ".") ?? text;
}
