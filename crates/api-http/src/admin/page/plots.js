
// Plots of the last hour. One cursor reads all of them: the slider, or a pointer over any plot.
const POINTS = 360;
const PLOTS = [
  {id: 'gets', title: 'Gets', show: perSecond, series: [
    {name: 'clients', of: (told) => told.client_gets}, {name: 'peers', of: (told) => told.peer_gets},
  ]},
  {id: 'ratio', title: 'Hit ratio', show: ratio, top: 1, series: [
    {name: 'clients', of: (told) => divide(told.client_hits, told.client_gets)},
    {name: 'peers', of: (told) => divide(told.peer_hits, told.peer_gets)},
  ]},
  {id: 'loads', title: 'Loads', show: perSecond, series: [
    {name: 'origins', of: (told) => told.origin_loads}, {name: 'peers', of: (told) => told.peer_loads},
    {name: 'origin errors', of: (told) => told.origin_errors},
  ]},
  {id: 'latency', title: 'Latency of loads', show: latency, series: [
    {name: 'p50', of: (told) => told.load_p50}, {name: 'p99', of: (told) => told.load_p99},
  ]},
  {id: 'bytes', title: 'Memory', show: bytes, isMemory: true, series: [{name: 'in use', of: (told) => told.bytes}]},
  {id: 'trouble', title: 'Shed and stale', show: perSecond, series: [
    {name: 'shed', of: (told) => told.shed}, {name: 'stale answers', of: (told) => told.stale},
  ]},
];
const STROKES = ['a', 'b', 'c'];
const drawn = new Map();
let pointed = null;

function divide(parts, wholes) {
  return (parts ?? []).map((part, at) => (known(part) && wholes?.[at] > 0 ? Math.min(1, part / wholes[at]) : null));
}

/** As many points as the plot is wide: those before the first are not known. */
function padded(series) {
  const points = (series ?? []).slice(-POINTS);
  return [...Array(POINTS - points.length).fill(null), ...points];
}

/** The end of an axis: 1, 2 or 5 of a power of ten, or a power of two of bytes. */
function roundUp(value, binary) {
  if (!(value > 0)) return 1;
  if (binary) return 2 ** Math.ceil(Math.log2(value));
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].find((step) => step * power >= value * 0.999) * power;
}

function makePlots() {
  for (const plot of PLOTS) {
    const lines = plot.series.map((_, at) => draw('path', {class: `series ${STROKES[at]}`, 'vector-effect': 'non-scaling-stroke'}));
    const bound = draw('path', {class: 'series bound', 'vector-effect': 'non-scaling-stroke'});
    const cursor = draw('path', {class: 'now', 'vector-effect': 'non-scaling-stroke'});
    const middle = draw('path', {class: 'grid', d: 'M0 50H359', 'vector-effect': 'non-scaling-stroke'});
    const top = draw('path', {class: 'grid', d: 'M0 0H359', 'vector-effect': 'non-scaling-stroke'});
    const canvas = draw('svg', {
      viewBox: '0 0 359 100', preserveAspectRatio: 'none', role: 'img',
      'aria-labelledby': `plot-${plot.id}`, 'aria-describedby': `plot-${plot.id}-text`,
    }, top, middle, bound, ...lines, cursor);
    const values = plot.series.map((series, at) => {
      const line = draw('path', {class: `series ${STROKES[at]}`, d: 'M1 4H21'});
      const value = el('b');
      return {value, item: el('li', {}, draw('svg', {viewBox: '0 0 22 8', 'aria-hidden': 'true'}, line), series.name, ' ', value)};
    });
    const limit = el('b');
    const limitLine = draw('path', {class: 'series bound', d: 'M1 4H21'});
    const limitItem = el('li', {}, draw('svg', {viewBox: '0 0 22 8', 'aria-hidden': 'true'}, limitLine), 'limit ', limit);
    const ys = [el('span'), el('span'), el('span')];
    const xs = [el('span'), el('span'), el('span'), el('span', {}, 'now')];
    const text = el('p', {id: `plot-${plot.id}-text`, class: 'unseen'});
    const names = plot.series.map((series) => el('th', {scope: 'col', class: 'n'}, series.name));
    const table = el('table', {},
      el('caption', {}, `${plot.title}, each minute`),
      el('thead', {}, el('tr', {}, el('th', {scope: 'col'}, 'Time'), ...names)),
      el('tbody'));
    const details = el('details', {}, el('summary', {}, 'As a table'),
      el('div', {class: 'scroll', role: 'region', 'aria-label': `${plot.title} as a table`, tabindex: '0'}, table));
    const parts = {lines, bound, limit, cursor, values, ys, xs, text, table, details, data: [], canvas};
    details.addEventListener('toggle', () => fillPlotTable(plot, parts));
    canvas.addEventListener('pointermove', (event) => {
      const box = canvas.getBoundingClientRect();
      point(Math.round((event.clientX - box.left) / box.width * (POINTS - 1)));
    });
    canvas.addEventListener('pointerleave', () => point(null));
    drawn.set(plot.id, parts);
    $('plots').append(el('figure', {},
      el('figcaption', {id: `plot-${plot.id}`}, plot.title),
      el('ul', {class: 'legend'}, ...values.map((value) => value.item), ...(plot.isMemory ? [limitItem] : [])),
      el('div', {class: 'plot'},
        el('div', {class: 'ys', 'aria-hidden': 'true'}, ...ys), canvas,
        el('div', {class: 'xs', 'aria-hidden': 'true'}, ...xs)),
      text, details));
  }
  $('cursor').addEventListener('input', () => read());
  $('traffic-group').addEventListener('change', () => renderTraffic(seen));
}

function point(at) {
  pointed = at === null ? null : Math.min(POINTS - 1, Math.max(0, at));
  read();
}

function path(points, top) {
  let text = '';
  let open = false;
  points.forEach((value, x) => {
    if (known(value)) {
      const y = Math.round(1000 * (1 - Math.min(1, value / top))) / 10;
      // A point between two gaps is a line of no length, which round caps make a dot.
      text += open ? `L${x} ${y}` : `M${x} ${y}h.01`;
      open = true;
    } else {
      open = false;
    }
  });
  return text;
}

function summary(plot, data) {
  return plot.series.map((series, at) => {
    const told = data[at].filter(known);
    if (told.length === 0) return `${series.name}: nothing counted`;
    const last = data[at][POINTS - 1];
    const [lowest, highest] = [Math.min(...told), Math.max(...told)].map(plot.show);
    return `${series.name}: now ${known(last) ? plot.show(last) : 'nothing'}, lowest ${lowest}, highest ${highest}`;
  }).join('. ');
}

let history = {now: 0, interval: 10};

function renderTraffic(seen) {
  fillChoices($('traffic-group'), groupsOf(seen).map(([name]) => name), [['', 'All groups']]);
  const told = seen.history;
  show($('plots'), Boolean(told));
  show($('traffic-none'), !told);
  if (!told) {
    say($('traffic-none'), seen.missing.has('history') ? 'This node keeps no history.' : 'No answer yet.');
    return;
  }
  const group = $('traffic-group').value;
  const series = group === '' ? told.series : told.groups?.[group] ?? {};
  history = {now: told.now, interval: told.interval_seconds};
  const limits = groupsOf(seen).filter(([name]) => group === '' || name === group).map(([, one]) => one.cache_limit_bytes ?? 0);
  const limit = limits.reduce((sum, one) => sum + one, 0);
  for (const plot of PLOTS) {
    const parts = drawn.get(plot.id);
    parts.data = plot.series.map((one) => padded(one.of(series)));
    const highest = Math.max(0, ...parts.data.flat().filter(known), plot.isMemory ? limit : 0);
    const top = plot.top ?? roundUp(highest, plot.isMemory);
    parts.lines.forEach((line, at) => line.setAttribute('d', path(parts.data[at], top)));
    parts.bound.setAttribute('d', plot.isMemory && limit > 0 ? `M0 ${100 - 100 * limit / top}H359` : '');
    [top, top / 2, 0].forEach((value, at) => say(parts.ys[at], plot.show(value).replace(/(\.\d*?)0+(?=\D|$)/, '$1').replace(/\.(?=\D|$)/, '')));
    const length = (POINTS - 1) * history.interval;
    [length, 2 * length / 3, length / 3].forEach((ago, at) => say(parts.xs[at], clockShort.format(new Date(1000 * (history.now - ago)))));
    say(parts.limit, bytes(limit));
    const bound = plot.isMemory ? `. The limit is ${bytes(limit)}` : '';
    say(parts.text, `${summary(plot, parts.data)}${bound}.`);
    fillPlotTable(plot, parts);
  }
  read();
}

function timeAt(at) {
  return history.now - (POINTS - 1 - at) * history.interval;
}

/** Shows the values under the cursor. */
function read() {
  const slider = $('cursor');
  const at = pointed ?? Number(slider.value);
  const isNow = at === POINTS - 1;
  const words = [];
  for (const plot of PLOTS) {
    const parts = drawn.get(plot.id);
    parts.cursor.setAttribute('d', isNow ? '' : `M${at} 0V100`);
    plot.series.forEach((series, index) => {
      const text = plot.show(parts.data[index]?.[at]);
      say(parts.values[index].value, text);
      words.push(`${plot.title}, ${series.name} ${text === NONE ? 'nothing' : text}`);
    });
  }
  const time = history.now === 0 || isNow ? 'now' : clock(timeAt(at));
  say($('cursor-time'), time);
  if (pointed === null) slider.setAttribute('aria-valuetext', `${time}. ${words.join('. ')}`);
}

function fillPlotTable(plot, parts) {
  if (!parts.details.open) return;
  const rows = [];
  for (let at = POINTS - 1; at >= 0; at -= MINUTE) {
    if (parts.data.some((series) => known(series[at]))) rows.push(at);
  }
  fillTable(parts.table, rows, String, (at) => [
    clock(timeAt(at)), ...parts.data.map((series) => number(plot.show(series[at]))),
  ]);
}
