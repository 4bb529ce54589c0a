
// Figures, origins, groups, hot keys and events.
function renderFigures(seen) {
  const groups = groupsOf(seen).map(([, group]) => group);
  const sum = (of) => groups.reduce((total, group) => total + (of(group) ?? 0), 0);
  const series = seen.history?.series ?? {};
  const last = (name) => (series[name] ?? []).at(-1);
  const hits = clientRatio(seen);
  const used = sum((group) => total(group.cache_bytes));
  const limit = sum((group) => group.cache_limit_bytes);
  const waiting = sum((group) => group.origin?.waiting);
  const shed = recent(series.shed, MINUTE);
  const figures = [
    ['Gets by clients', perSecond(last('client_gets')), `${perSecond(last('peer_gets'))} by peers`],
    ['Clients’ hit ratio', hits ? ratio(hits.value) : NONE, hits?.since ?? 'no gets yet'],
    ['Loads from origins', perSecond(last('origin_loads')), `${perSecond(last('origin_errors'))} failed`],
    ['Latency of loads, p99', latency(last('load_p99')), `p50 ${latency(last('load_p50'))}`],
    ['Waiting for origins', count(waiting), shed > 0 ? `${perSecond(shed / MINUTE)} shed` : 'none shed'],
    ['Memory', bytes(used), `${percent(used, limit)} of ${bytes(limit)}`],
  ];
  sync($('figures'), figures, ([name]) => name, ([name]) => el('div', {}, el('dt', {}, name), el('dd'), el('dd', {class: 'more'})),
    (node, [, value, more]) => {
      say(node.children[1], value);
      say(node.children[2], more);
    });
}

function total(counted) {
  return Object.values(counted ?? {}).reduce((sum, value) => sum + (known(value) ? value : 0), 0);
}

function renderOrigins(seen) {
  fillTable($('origins-table'), groupsOf(seen), ([name]) => name, ([name, group]) => {
    const origin = group.origin ?? {};
    const health = originHealth(name, group, seen.history);
    const follow = followHealth(group.follow);
    const times = group.load_seconds?.origin ?? {};
    const opened = origin.breaker_opened > 0 ? `opened ${plural(origin.breaker_opened, 'time')}` : '';
    return [
      name,
      origin.kind ?? NONE,
      {tone: health.tone, text: health.text, small: health.why, name: health.why ? 'wrap' : ''},
      {tone: origin.breaker === 'open' ? 'bad' : origin.breaker ? 'ok' : 'none', text: origin.breaker ?? NONE, small: opened},
      number(`${count(origin.running)} of ${count(origin.limit)}`),
      number(count(origin.waiting)),
      number(count(origin.given_up)),
      number(count(group.shed_total)),
      number(latency(times.p50)), number(latency(times.p90)), number(latency(times.p99)),
      follow.tone ? {...follow, small: `${plural(group.follow.changes, 'change')}, ${count(group.follow.failures)} failed`} : NONE,
      number(span(group.follow?.lag_seconds), {small: group.follow?.behind_bytes > 0 ? `${bytes(group.follow.behind_bytes)} behind` : ''}),
    ];
  }, ([name, group]) => {
    const tone = worst([originHealth(name, group, seen.history).tone, followHealth(group.follow).tone || 'none']);
    return tone === 'bad' || tone === 'warn' ? tone : '';
  });
}

function renderGroups(seen) {
  fillTable($('groups-table'), groupsOf(seen), ([name]) => name, ([name, group]) => {
    const settings = group.settings ?? {};
    const used = total(group.cache_bytes);
    const entries = group.cache_entries ?? {};
    const time = (value) => number(value === null || value === undefined ? 'none' : span(value));
    const stale = (group.stale_revalidating ?? 0) + (group.stale_failed_over ?? 0);
    const evicted = Object.values(group.evictions_total ?? {}).reduce((sum, one) => sum + (one.capacity ?? 0), 0);
    return [
      name,
      {text: `${bytes(used)} of ${bytes(group.cache_limit_bytes)}`, meter: group.cache_limit_bytes > 0 ? used / group.cache_limit_bytes : null},
      number(count(entries.main)), number(count(entries.hot)), number(count(entries.absent)),
      number(settings.ttl_seconds === null ? 'no end' : span(settings.ttl_seconds)),
      time(settings.stale_while_revalidate_seconds), time(settings.stale_if_error_seconds),
      time(settings.negative_ttl_seconds), time(settings.hot_ttl_seconds),
      number(percent(stale, group.gets_total)), number(percent(group.hits_total?.absent, group.gets_total)),
      number(count(evicted)), number(bytes(settings.max_value_bytes)),
    ];
  });
}

function renderHot(seen) {
  fillChoices($('hot-group'), groupsOf(seen).map(([name]) => name), [], busiest(seen));
  const told = seen.hot?.group === $('hot-group').value ? seen.hot : null;
  const keys = told?.keys ?? [];
  show($('hot-table'), keys.length > 0);
  show($('hot-none'), keys.length === 0);
  say($('hot-none'), told ? 'No gets were sampled in the last minutes.'
    : seen.missing.has('hot') ? 'This node does not tell its hottest keys.' : 'No answer yet.');
  fillTable($('hot-table'), keys, (row) => row.key64, (row) => [
    {
      of: row.key64, name: 'wrap',
      build: () => {
        const button = el('button', {type: 'button', class: 'link'}, el('span', {class: 'unseen'}, 'Find '), ...keyParts(row.key, row.key64));
        button.addEventListener('click', () => findKey($('hot-group').value, row.key64));
        return [button];
      },
    },
    number(perSecond(row.gets_per_second)),
    number(ratio(row.share)),
    {text: row.owner_name ?? row.owner, tag: row.self ? 'this node' : undefined, name: 'wrap'},
  ]);
}

const EVENTS = {
  joined: ['ok', 'joined'], left: ['none', 'left'], down: ['bad', 'down'], up: ['ok', 'up'], ring: ['none', 'ring changed'],
  breaker_opened: ['bad', 'breaker opened'], breaker_closed: ['ok', 'breaker closed'], group_removed: ['warn', 'group removed'],
  reloaded: ['none', 'reloaded'], ready: ['ok', 'ready'], follow: ['none', 'follower'], disagreement: ['warn', 'disagreement'],
};

function renderEvents(seen) {
  const events = seen.events?.events ?? [];
  show($('events-table'), events.length > 0);
  show($('events-none'), events.length === 0);
  say($('events-none'), seen.events ? 'Nothing has happened since this node started.'
    : seen.missing.has('events') ? 'This node keeps no events.' : 'No answer yet.');
  const numbered = new Map();
  const rows = events.slice(0, 200).map((event) => {
    const name = JSON.stringify([event.at, event.kind, event.node, event.group, event.text]);
    const times = numbered.get(name) ?? 0;
    numbered.set(name, times + 1);
    return {event, name: `${times} ${name}`};
  });
  fillTable($('events-table'), rows, (row) => row.name, ({event}) => {
    const [tone, text] = EVENTS[event.kind] ?? ['none', event.kind];
    const about = [event.node, event.group === null || event.group === undefined ? null : `group ${event.group}`].filter(Boolean);
    return [
      {of: event.at, name: 'time', build: () => [el('time', {datetime: new Date(event.at * 1000).toISOString()}, clock(event.at))]},
      {tone, text},
      {text: event.text, small: about.filter((name) => !event.text.includes(name)).join(', '), name: 'wrap'},
    ];
  });
}
