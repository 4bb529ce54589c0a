
// Elements. All text gets onto the page by textContent: keys are whatever bytes somebody asked for.
const $ = (id) => document.getElementById(id);

function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function draw(tag, attributes = {}, ...children) {
  const node = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** Only what has changed is touched, so that selections and a screen reader's place stay. */
function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function show(node, visible) {
  if (node.hidden === visible) node.hidden = !visible;
}

function dress(node, name) {
  if (node.className !== name) node.className = name;
}

/** Makes the children of a parent those of the items, and keeps the elements of those that stay. */
function sync(parent, items, keyOf, make, fill) {
  const old = new Map(Array.from(parent.children, (child) => [child.itemKey, child]));
  const nodes = items.map((item) => {
    const key = keyOf(item);
    const kept = old.get(key);
    const node = kept ?? make(item);
    node.itemKey = key;
    old.delete(key);
    fill(node, item);
    return node;
  });
  for (const gone of old.values()) gone.remove();
  nodes.forEach((node, at) => {
    const there = parent.children[at];
    if (there !== node) parent.insertBefore(node, there ?? null);
  });
}

/**
 * Fills a row. A cell is a text, or {text, tone, small, tag, wide, meter, of, build}: `of` says by
 * what a cell that is built has changed.
 */
function fillRow(row, cells) {
  cells.forEach((cell, at) => {
    const {text = '', tone, small, tag, name = '', meter, of, build} = typeof cell === 'object' ? cell : {text: cell};
    const node = row.children[at] ?? row.appendChild(at === 0 ? el('th', {scope: 'row'}) : el('td'));
    dress(node, name);
    const print = JSON.stringify([text, tone, small, tag, meter, of]);
    if (node.print === print) return;
    node.print = print;
    node.replaceChildren();
    if (build) node.append(...build());
    else if (tone) node.append(el('span', {class: `tone ${tone}`}, text));
    else node.append(text);
    if (tag) node.append(' ', el('span', {class: 'tag'}, tag));
    if (known(meter)) {
      const bar = el('i');
      bar.style.width = `${Math.round(1000 * Math.min(1, Math.max(0, meter))) / 10}%`;
      node.append(el('span', {class: 'meter', 'aria-hidden': 'true'}, bar));
    }
    if (small) node.append(el('small', {}, small));
  });
  while (row.children.length > cells.length) row.lastElementChild.remove();
}

const number = (text, more = {}) => ({text, name: 'n', ...more});

function fillTable(table, items, keyOf, cellsOf, classOf = () => '') {
  sync(table.tBodies[0], items, keyOf, () => el('tr'), (row, item) => {
    dress(row, classOf(item));
    fillRow(row, cellsOf(item));
  });
}

/** Fills a list of choices and keeps what is chosen; at first that is `best`. */
function fillChoices(select, names, first = [], best = '') {
  const rows = [...first, ...names.map((name) => [name, name])];
  const print = JSON.stringify(rows);
  if (select.print === print) return;
  select.print = print;
  const chosen = select.value || best;
  select.replaceChildren(...rows.map(([value, text]) => el('option', {value}, text)));
  if (rows.some(([value]) => value === chosen)) select.value = chosen;
}

// Control characters, those that turn the direction of text around, and those that are not seen.
const HIDDEN = /[\u0000-\u001f\u007f-\u00a0\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u2028-\u202f\u205f-\u206f\u2800\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\uffff\u{e0000}-\u{e0fff}]/u;
const LONGEST = 160;

/** A key as it can be read: characters that cannot be seen are escaped, and a long one is cut. */
function keyParts(text, key64) {
  if (text === null || text === undefined) return cut(key64 ?? '', [' ', el('span', {class: 'tag'}, 'base64')]);
  if (text === '') return [el('span', {class: 'muted'}, '(the empty key)')];
  return cut(text, []);
}

function cut(text, after) {
  const letters = Array.from(text.slice(0, 2 * LONGEST)).slice(0, LONGEST);
  const key = el('code', {class: 'key'});
  let plain = '';
  letters.forEach((letter, at) => {
    // A space that begins or ends a key is not seen, either.
    const space = letter === ' ' && (at === 0 || at === letters.length - 1);
    if (!space && !HIDDEN.test(letter)) {
      plain += letter;
      return;
    }
    key.append(plain, el('span', {class: 'esc'}, `\\u{${letter.codePointAt(0).toString(16)}}`));
    plain = '';
  });
  key.append(plain);
  const left = text.length - letters.join('').length;
  if (left > 0) after.unshift(el('span', {class: 'muted'}, ` … ${plural(left, 'more character')}`));
  return [key, ...after];
}
