// Makes static/build: one stylesheet (what the templates use of Tabler, then our own),
// one sprite of the icons in use, and the two fonts. Same input, same bytes.
//   node frontend/build.mjs
import { PurgeCSS } from 'purgecss';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const at = (...parts) => path.join(root, ...parts);
const read = (file) => fs.readFileSync(file, 'utf8');
const out = at('static', 'build');
const skipped = new Set(['node_modules', 'static', 'staticfiles', 'tests', 'var', 'docs', '__pycache__']);

/** Every file below a folder whose name ends as asked, in alphabetical order. */
function files(folder, ending) {
  if (!fs.existsSync(folder)) return [];
  return fs.readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1)).flatMap((entry) => {
    if (entry.name.startsWith('.') || (folder === root && skipped.has(entry.name))) return [];
    const full = path.join(folder, entry.name);
    return entry.isDirectory() ? files(full, ending) : entry.name.endsWith(ending) ? [full] : [];
  });
}

/** The words that may be classes, tags or attributes: what stands inside tags, not the prose. */
function words(text) {
  const inTemplateTags = [];
  const flat = text.replace(/\{#.*?#\}/gs, ' ').replace(/\{[%{](.*?)[%}]\}/gs, (_, inside) => {
    inTemplateTags.push(inside);
    return ` ${inside.replace(/[<>]/g, ' ')} `;
  });
  const tags = flat.match(/<[^<>]*>/g) ?? [];
  return [...tags, ...inTemplateTags].join(' ').match(/[A-Za-z0-9_-]+/g) ?? [];
}

/** The quoted words of a script or module: the only place where it can name a class. */
function quoted(text) {
  return (text.match(/(["'`])(?:(?!\1)[^\\]|\\.)*\1/gs) ?? []).join(' ').match(/[A-Za-z0-9_-]+/g) ?? [];
}

/** Comments and needless white space taken out; nothing is rewritten. */
function squeeze(css) {
  return css.replace(/\/\*.*?\*\//gs, '').replace(/\s+/g, ' ').replace(/ ?([{};,]) ?/g, '$1').replace(/;\}/g, '}').trim();
}

const templates = files(at('templates'), '.html');
const scripts = files(at('static', 'js'), '.js');
const modules = files(root, '.py');

async function styles() {
  const [{ css }] = await new PurgeCSS().purge({
    content: [...templates, ...scripts, ...modules.filter((m) => m.includes('templatetags'))],
    css: [{ raw: read(at('node_modules/@tabler/core/dist/css/tabler.min.css')) }],
    extractors: [{ extractor: words, extensions: ['html'] }, { extractor: quoted, extensions: ['js', 'py'] }],
    variables: true, keyframes: true, fontFace: true,
    safelist: { variables: [/^--tblr-btn-/], standard: [/^data-bs-theme/] },
  });
  const tabler = css.replace(/\/\*.*?\*\//gs, '').replace(/@charset "[^"]*";/g, '').trim();
  const own = read(at('static/css/nms.css')).replaceAll('../build/', '');
  return `@charset "utf-8";${tabler}\n${squeeze(own)}\n`;
}

/** Names in {% icon "…" %} and in icon="…" or icon_name="…" of templates and modules, and the extra ones of icons.txt. */
function iconNames() {
  const names = new Map(read(at('frontend/icons.txt')).split('\n').filter((l) => l && !l.startsWith('#')).map((n) => [n, 'frontend/icons.txt']));
  for (const file of [...templates, ...modules]) {
    const text = read(file).replace(/\{#.*?#\}/gs, '');
    for (const [, name] of text.matchAll(/(?:\{%\s*icon\s+|\bicon(?:_name)?["']?\s*[=:]\s*)["']([a-z0-9-]+)["']/g)) {
      if (!names.has(name)) names.set(name, path.relative(root, file));
    }
  }
  return [...names].sort(([a], [b]) => (a < b ? -1 : 1));
}

function sprite() {
  const symbols = iconNames().map(([name, where]) => {
    const file = at('node_modules/@tabler/icons/icons/outline', `${name}.svg`);
    if (!fs.existsSync(file)) throw new Error(`${where} names the icon "${name}", which @tabler/icons does not have.`);
    const inner = read(file).replace(/^[\s\S]*?<svg[^>]*>/, '').replace(/<\/svg>\s*$/, '').replace(/\s*\n\s*/g, '');
    return `<symbol id="${name}" viewBox="0 0 24 24">${inner}</symbol>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg">${symbols.join('')}</svg>\n`;
}

/** Written only when it differs, and under its final name only when it is whole. */
function write(name, content) {
  const file = path.join(out, name);
  const bytes = Buffer.from(content);
  if (!fs.existsSync(file) || !fs.readFileSync(file).equals(bytes)) {
    fs.writeFileSync(`${file}.${process.pid}`, bytes);
    fs.renameSync(`${file}.${process.pid}`, file);
  } else fs.utimesSync(file, new Date(), new Date());
  console.log(`${name.padEnd(22)}${String(bytes.length).padStart(7)} bytes ${String(gzipSync(bytes).length).padStart(7)} gzipped`);
}

try {
  fs.mkdirSync(out, { recursive: true });
  write('app.css', await styles());
  write('icons.svg', sprite());
  for (const font of ['inter', 'jetbrains-mono']) {
    write(`${font}.woff2`, fs.readFileSync(at(`node_modules/@fontsource-variable/${font}/files/${font}-latin-wght-normal.woff2`)));
  }
} catch (error) {
  console.error(`The front end was not built. ${error.message}`);
  process.exitCode = 1;
}
