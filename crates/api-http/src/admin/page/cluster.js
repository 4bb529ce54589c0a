
// The ring: its nodes, and who sees whom.
const WIDEST = 40;

/** What each node that answered says of each member: up, down, or no member to it. */
function viewsOf(seen) {
  const nodes = nodesOf(seen);
  return nodes.map((node) => {
    const ring = node.told?.ring;
    if (ring) return {by: node, hash: ring.hash, says: new Map(ring.members.map((member) => [member.name, member.up]))};
    if (!node.self || !seen.status) return {by: node, says: null};
    const own = seen.status.ring;
    return {by: node, hash: own.hash, says: new Map((own.peers ?? []).map((peer) => [peer.name, peer.up || peer.self]))};
  });
}

/** Every way in which the nodes see different things, one sentence each. */
function disputesOf(seen) {
  const lines = [];
  const views = viewsOf(seen).filter((view) => view.says !== null);
  const mine = views.find((view) => view.by.self) ?? views[0];
  for (const view of views) {
    if (view === mine) continue;
    const extra = [...view.says.keys()].filter((name) => !mine.says.has(name));
    // A report of very many members is cut.
    const missing = view.by.told?.cut ? [] : [...mine.says.keys()].filter((name) => !view.says.has(name));
    if (extra.length > 0) lines.push(`${view.by.name} has ${list(extra)} in its ring, and ${mine.by.name} has not.`);
    if (missing.length > 0) lines.push(`${view.by.name} does not have ${list(missing)} in its ring, and ${mine.by.name} has.`);
    if (extra.length + missing.length === 0 && view.hash !== mine.hash) {
      lines.push(`${view.by.name} has another ring of the same members: its hash is ${view.hash}.`);
    }
  }
  const names = new Set(views.flatMap((view) => [...view.says.keys()]));
  for (const name of names) {
    const up = views.filter((view) => view.says.get(name) === true).map((view) => view.by.name);
    const down = views.filter((view) => view.says.get(name) === false).map((view) => view.by.name);
    if (up.length > 0 && down.length > 0) lines.push(`${name} is down to ${list(down)}, and up to ${list(up)}.`);
  }
  for (const {node, how} of seen.status?.ring?.disagreements ?? []) lines.push(`${node}: ${how}.`);
  return lines;
}

function sums(told) {
  const all = Object.values(told?.groups ?? {});
  if (all.length === 0) return {};
  const sum = (name) => all.reduce((total, group) => total + (group[name] ?? 0), 0);
  return {
    gets: sum('gets'), clientGets: sum('client_gets'), clientHits: sum('client_hits'), bytes: sum('bytes'),
    limit: sum('limit_bytes'), entries: sum('entries'), loads: sum('loads_in_flight'),
  };
}

function renderCluster(seen) {
  const nodes = nodesOf(seen);
  const ring = seen.status.ring ?? {};
  const answered = viewsOf(seen).filter((view) => view.says !== null).length;
  const disputes = disputesOf(seen);
  const isMember = nodes.some((node) => node.self && node.isMember);
  const members = nodes.filter((node) => node.isMember).length;
  const sentences = [];
  if (answered === 0) sentences.push('No node has told of its ring.');
  else if (disputes.length > 0) sentences.push('The nodes do not agree:');
  else if (answered === 1) sentences.push('One node has answered.');
  else sentences.push(`The ${answered} nodes that answered see the same ring.`);
  if (disputes.length === 0) sentences.push(`This node’s ring has ${plural(members, 'member')}${ring.hash ? ` (hash ${ring.hash})` : ''}.`);
  if (!isMember) sentences.push('This node is a gateway: it is in no ring.');
  say($('ring'), sentences.join(' '));
  show($('disputes'), disputes.length > 0);
  sync($('disputes'), disputes.slice(0, 20), (line) => line, () => el('li'), say);

  const box = nodes.length > MANY ? 'scroll tall' : 'scroll';
  dress($('nodes-box'), box);
  dress($('matrix-box'), box);
  // A large table is shown when it is asked for.
  if (nodes.length > MANY && !$('views').told) $('views').open = false;
  $('views').told = true;

  fillTable($('nodes'), nodes, (node) => node.name, (node) => {
    const {answer, told} = node;
    const sum = sums(told);
    const why = answer?.error ?? '';
    const link = told?.admin && /^https?:\/\//.test(told.admin) && !node.self ? told.admin : null;
    return [
      {
        of: [node.name, link, node.self, node.isMember, node.address],
        build: () => [
          link ? el('a', {href: link, rel: 'noreferrer'}, node.name) : node.name,
          ...(node.self ? [' ', el('span', {class: 'tag'}, 'this node')] : []),
          ...(node.isMember ? [] : [' ', el('span', {class: 'tag'}, 'gateway')]),
          ...(node.address && !node.address.endsWith(`//${node.name}`) ? [el('small', {}, node.address)] : []),
        ],
      },
      {...node.judged, small: why, name: why ? 'wrap' : ''},
      told?.version ?? NONE,
      span(told?.uptime_seconds),
      number(node.self ? NONE : latency(answer?.rtt_seconds)),
      number(count(sum.gets)),
      number(percent(sum.clientHits, sum.clientGets)),
      {
        text: sum.limit ? `${bytes(sum.bytes)} of ${bytes(sum.limit)}` : NONE, name: 'n',
      },
      number(count(sum.entries)),
      number(count(sum.loads)),
    ];
  }, (node) => (['bad', 'warn'].includes(node.judged.tone) ? node.judged.tone : ''));
  renderMatrix(seen, nodes);
}

function renderMatrix(seen, nodes) {
  const few = nodes.length <= WIDEST && nodes.length > 0;
  show($('views'), few);
  if (!few) return;
  const views = viewsOf(seen);
  const strangers = new Set(views.flatMap((view) => (view.says ? [...view.says.keys()] : [])));
  const members = nodes.filter((node) => node.isMember).map((node) => node.name);
  for (const name of members) strangers.delete(name);
  const rows = [...members, ...strangers];
  const heads = [{name: '', text: 'Member'}, ...views.map((view) => ({
    name: view.by.name, text: `${view.by.name}${view.by.self ? ' (this node)' : ''} says`,
  })), {name: '\0', text: 'Together'}];
  sync($('matrix').tHead.rows[0], heads, (head) => head.name, () => el('th', {scope: 'col'}), (cell, head) => say(cell, head.text));
  fillTable($('matrix'), rows, (name) => name, (name) => {
    const told = views.filter((view) => view.says !== null);
    const down = told.filter((view) => view.says.get(name) === false).length;
    const absent = told.filter((view) => !view.says.has(name)).length;
    const same = down === 0 || down === told.length;
    const together = absent > 0 ? {tone: 'warn', text: `no member to ${absent} of ${told.length}`}
      : same ? {tone: down > 0 ? 'bad' : 'ok', text: down > 0 ? 'all say down' : 'all say up'}
      : {tone: 'bad', text: `${down} of ${told.length} say down`};
    return [
      name,
      ...views.map((view) => {
        if (view.says === null) return {tone: 'none', text: 'no answer'};
        const up = view.says.get(name);
        if (up === undefined) return {tone: 'warn', text: 'no member'};
        if (view.by.name === name) return {text: 'itself', name: 'muted'};
        return up ? {tone: 'ok', text: 'up'} : {tone: 'bad', text: 'down'};
      }),
      told.length > 0 ? together : NONE,
    ];
  });
}
