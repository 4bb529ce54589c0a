
// What all of it means: each judgement has a tone (none, ok, warn, bad) and words.
const TONES = ['none', 'ok', 'warn', 'bad'];
const worst = (tones) => TONES[Math.max(0, ...tones.map((tone) => TONES.indexOf(tone)))];
/** Points of the history in a minute. */
const MINUTE = 6;
/** From so many nodes on, tables of nodes have a height of their own. */
const MANY = 12;

/** The sum of the last points of a series of rates, or null if there are none. */
function recent(series, points) {
  const told = (series ?? []).slice(-points).filter(known);
  return told.length > 0 ? told.reduce((sum, value) => sum + value, 0) : null;
}

/** The clients' hit ratio of the last five minutes, or since the start where that had no gets. */
function clientRatio(seen) {
  const gets = recent(seen.history?.series?.client_gets, 5 * MINUTE);
  const hits = recent(seen.history?.series?.client_hits, 5 * MINUTE);
  if (gets > 0 && hits !== null) return {value: hits / gets, since: 'last 5 min'};
  const all = groupsOf(seen).map(([, group]) => group.clients ?? {});
  const sum = (name) => all.reduce((total, counted) => total + (counted[name] ?? 0), 0);
  return sum('gets') > 0 ? {value: sum('hits') / sum('gets'), since: 'since the start'} : null;
}

function groupsOf(seen) {
  return Object.entries(seen.status?.groups ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
}

/** The group that most gets were for. */
function busiest(seen) {
  const rows = groupsOf(seen).map(([name, group]) => [group.gets_total ?? 0, name]);
  return rows.reduce((most, row) => (row[0] > most[0] ? row : most), [-1, ''])[1];
}

function originHealth(name, group, history) {
  const origin = group.origin ?? {};
  if (origin.breaker === 'open') return {tone: 'bad', text: 'not asked', why: 'the circuit breaker is open'};
  const series = history?.groups?.[name];
  const errors = recent(series?.origin_errors, MINUTE);
  const loads = Math.max(recent(series?.origin_loads, MINUTE) ?? 0, errors ?? 0);
  if (errors > 0) {
    const why = `${percent(errors, loads)} of loads failed in the last minute`;
    return {tone: errors * 2 >= loads ? 'bad' : 'warn', text: 'failing', why};
  }
  if (origin.waiting > 0 && origin.running >= origin.limit) {
    return {tone: 'warn', text: 'saturated', why: `${plural(origin.waiting, 'load')} wait for a slot`};
  }
  const done = group.loads_total?.origin ?? {};
  if ((done.ok ?? 0) + (done.not_found ?? 0) + (done.error ?? 0) === 0) return {tone: 'none', text: 'not asked yet'};
  return {tone: 'ok', text: 'healthy'};
}

function followHealth(follow) {
  if (!follow) return {tone: '', text: NONE};
  const tone = {standby: 'none', connecting: 'warn', following: 'ok', failing: 'bad'}[follow.state] ?? 'none';
  const late = follow.state === 'following' && follow.lag_seconds > 60;
  return {tone: late ? 'warn' : tone, text: follow.state};
}

/** Every member of the ring, as this node knows it and as it has just answered. */
function nodesOf(seen) {
  const peers = new Map((seen.status?.ring?.peers ?? []).map((peer) => [peer.name, peer]));
  const asked = new Map((seen.cluster?.nodes ?? []).map((node) => [node.name, node]));
  const names = [...new Set([...asked.keys(), ...peers.keys()])];
  const nodes = names.map((name) => {
    const peer = peers.get(name);
    const answer = asked.get(name);
    const self = answer?.self ?? peer?.self ?? false;
    const told = answer?.status ?? null;
    const state = self ? seen.status?.state : told?.state;
    let judged = {tone: 'none', text: 'not asked yet'};
    if (peer && !peer.up) judged = {tone: 'bad', text: 'down'};
    else if (answer && !answer.reached && !self) judged = {tone: 'bad', text: 'no answer'};
    else if (state) judged = {tone: state === 'ready' ? 'ok' : 'warn', text: state};
    else if (answer?.reached) judged = {tone: 'ok', text: 'up'};
    else if (peer?.up) judged = {tone: 'ok', text: 'up'};
    const isMember = answer?.member ?? true;
    return {name, self, isMember, peer, answer, told, judged, address: answer?.address ?? peer?.address ?? ''};
  });
  const byName = (a, b) => a.name.localeCompare(b.name, 'en', {numeric: true});
  // Of many nodes, those in trouble come first.
  const rank = (node) => (nodes.length > MANY ? -TONES.indexOf(node.judged.tone) : 0);
  return nodes.sort((a, b) => rank(a) - rank(b) || byName(a, b));
}

function verdictOf(seen) {
  const nodes = nodesOf(seen);
  const down = nodes.filter((node) => node.judged.tone === 'bad');
  const parts = [];
  const tones = [];
  if (nodes.length > 0) {
    const up = nodes.length - down.length;
    const named = down.length > 0 ? ` (not ${list(down.map((node) => node.name))})` : '';
    parts.push(`${up} of ${plural(nodes.length, 'node')} up${named}`);
    tones.push(down.length > 0 ? 'bad' : 'ok');
  }
  if (seen.status.state !== 'ready') {
    parts.push(`this node is ${seen.status.state}`);
    tones.push('warn');
  }
  if (disputesOf(seen).length > 0) {
    parts.push('nodes disagree about the ring');
    tones.push('warn');
  }
  const groups = groupsOf(seen);
  const origins = groups.map(([name, group]) => [name, originHealth(name, group, seen.history)]);
  const ill = origins.filter(([, health]) => health.tone === 'warn' || health.tone === 'bad');
  for (const [name, health] of ill.slice(0, 3)) parts.push(`origin of ${name} ${health.text}: ${health.why}`);
  if (ill.length > 3) parts.push(`${ill.length - 3} more origins in trouble`);
  if (ill.length === 0 && origins.length > 0) {
    parts.push(origins.some(([, health]) => health.tone === 'ok')
      ? (origins.length === 1 ? 'origin healthy' : 'origins healthy')
      : 'no loads from origins yet');
  }
  tones.push(...ill.map(([, health]) => health.tone));
  const followers = groups.filter(([, group]) => ['warn', 'bad'].includes(followHealth(group.follow).tone));
  for (const [name, group] of followers.slice(0, 2)) {
    parts.push(group.follow.state === 'following'
      ? `follower of ${name} lags by ${span(group.follow.lag_seconds)}`
      : `follower of ${name} is ${group.follow.state}`);
    tones.push(followHealth(group.follow).tone);
  }
  // What follows changes all the time, so it is not announced.
  const steady = parts.join('; ');
  const hits = clientRatio(seen);
  parts.push(hits ? `clients’ hit ratio ${ratio(hits.value)} (${hits.since})` : 'no gets by clients yet');
  const tone = worst(tones);
  const lead = {ok: 'Healthy', warn: 'Needs attention', bad: 'Trouble', none: 'Unknown'}[tone];
  return {tone, text: `${lead}: ${parts.join('; ')}.`, steady: `${lead}: ${steady}.`};
}
