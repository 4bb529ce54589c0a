const parse = (colour) => (colour.match(/[\d.]+/g) ?? []).map(Number);
const linear = (part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
const light = (rgb) => {
  const [r, g, b] = rgb.slice(0, 3).map((part) => linear(part / 255));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (node) => {
  for (let at = node; at; at = at.parentElement) {
    const colour = parse(getComputedStyle(at).backgroundColor);
    if (colour.length === 3 || colour[3] === 1) return colour;
    if (colour[3] > 0) throw new Error(`a background that lets light through: ${at.outerHTML.slice(0, 80)}`);
  }
  throw new Error('no background');
};
const contrast = (a, b) => {
  const [more, less] = [light(a), light(b)].sort((one, other) => other - one);
  return (more + 0.05) / (less + 0.05);
};
const isText = (node) => Array.from(node.childNodes).some((child) => child.nodeType === 3 && child.data.trim() !== '');
const unseen = 'script, style, noscript, .unseen, option, dialog:not([open])';
const low = [];
let texts = 0;
for (const node of document.querySelectorAll('body *')) {
  if (!isText(node) || node.closest(unseen) || node.getClientRects().length === 0) continue;
  texts += 1;
  const style = getComputedStyle(node);
  const size = parseFloat(style.fontSize);
  const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
  const found = contrast(parse(style.color), behind(node));
  if (found < (isLarge ? 3 : 4.5)) low.push(`${node.tagName}.${node.className} ${node.textContent.slice(0, 30)}: ${found.toFixed(2)}`);
}
for (const line of document.querySelectorAll('.plot path.series')) {
  const found = contrast(parse(getComputedStyle(line).stroke), behind(line.closest('.card')));
  if (found < 3) low.push(`${line.getAttribute('class')}: ${found.toFixed(2)}`);
}
// There is a lot of text, so a check that sees little of it is broken.
if (texts < 100) low.push(`only ${texts} texts were looked at`);
return low;
