const faults = [];
const need = (holds, fault) => {
  if (!holds) faults.push(fault);
};
const all = (selector, within = document) => Array.from(within.querySelectorAll(selector));
need(document.documentElement.lang === 'en', 'no language');
need(all('h1').length === 1, 'not one h1');
for (const landmark of ['header', 'nav', 'main', 'footer']) need(all(`body > ${landmark}`).length === 1, `no ${landmark}`);
for (const field of all('input, select, textarea')) need(field.labels.length > 0, `no label: ${field.id}`);
for (const table of all('table')) {
  need(table.caption?.textContent, `no caption: ${table.id}`);
  for (const head of all('th', table)) need(head.scope, `no scope: ${table.id} ${head.textContent}`);
}
for (const box of all('.scroll')) {
  need(box.tabIndex === 0 && box.getAttribute('role') === 'region', 'a box that scrolls cannot be focused');
}
for (const section of all('section')) need(section.getAttribute('aria-labelledby'), `no name: ${section.id}`);
const ids = all('[id]').map((node) => node.id);
need(new Set(ids).size === ids.length, 'an id is there twice');
for (const name of ['aria-labelledby', 'aria-describedby']) {
  for (const node of all(`[${name}]`)) {
    for (const id of node.getAttribute(name).split(' ')) need(document.getElementById(id), `${name} names nothing: ${id}`);
  }
}
need(all('[aria-live=polite]').length >= 2, 'no live region');
need(all('[role=alert]').length === 1, 'no alert');
need(all('#plots figure').length === 6, 'not six plots');
for (const plot of all('#plots figure')) {
  need(plot.querySelector('svg[role=img]'), 'a plot that is no image');
  need(plot.querySelector('details table'), 'a plot without a table');
  const words = plot.querySelector('p').textContent;
  need(/now .*lowest .*highest|nothing counted/.test(words), `a plot that is not told in words: ${words}`);
}
return faults;
