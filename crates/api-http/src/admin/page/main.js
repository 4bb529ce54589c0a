
// The loop: what is due is asked, one round at a time, while the page is seen.
const EVERY = 3000;
const ROUND = 6000;
const seen = {status: null, cluster: null, history: null, hot: null, events: null, missing: new Set(), at: 0};
const JOBS = [
  {name: 'status', path: () => 'status', rounds: 1},
  {name: 'cluster', path: () => 'cluster', rounds: 1},
  {name: 'events', path: () => 'events?limit=100', rounds: 1},
  {name: 'hot', path: () => ($('hot-group').value === '' ? null : `hot-keys?group=${encodeURIComponent($('hot-group').value)}`), rounds: 2},
  {name: 'history', path: () => 'history', rounds: 3},
];
let rounds = 0;
let timer = null;
let running = null;
let isPaused = false;
let isLost = false;
let lastSteady = '';

async function round() {
  clearTimeout(timer);
  if (running) return;
  const stop = new AbortController();
  running = stop;
  // The first answer tells whether a token is needed, and which groups there are.
  const isDue = (job) => rounds % job.rounds === 0 || (!seen[job.name] && !seen.missing.has(job.name));
  const due = seen.status && !isLost ? JOBS.filter(isDue) : JOBS.slice(0, 1);
  const asked = due.map(async (job) => {
    const path = job.path();
    if (path === null) return;
    try {
      seen[job.name] = (await ask(path, {within: ROUND, stop: stop.signal})).json;
      seen.missing.delete(job.name);
    } catch (failure) {
      if (failure.kind === 'missing') seen.missing.add(job.name);
      if (job.name === 'status') throw failure;
    }
  });
  const [status] = await Promise.allSettled(asked);
  running = null;
  if (stop.signal.aborted) return;
  rounds += 1;
  if (status.status === 'rejected') {
    if (status.reason.kind === 'token') return askForToken(status.reason.message);
    isLost = true;
    failed(status.reason);
  } else {
    isLost = false;
    seen.at = Date.now() / 1000;
    answered();
  }
  plan(due.length === 1 && !isLost ? 0 : EVERY);
}

function plan(after) {
  clearTimeout(timer);
  if (!isPaused && !document.hidden && $('access').hidden) timer = setTimeout(round, after);
}

function halt(why) {
  clearTimeout(timer);
  running?.abort(new Failure('refused', why));
}

function answered() {
  show($('alarm'), false);
  show($('main'), true);
  show($('sections'), true);
  render();
  say($('updated'), isPaused ? `Paused; as of ${clock(seen.at)}` : `As of ${clock(seen.at)}`);
}

function failed(failure) {
  const name = seen.status?.node ?? location.host;
  const since = seen.at > 0 ? ` What is shown is as of ${clock(seen.at)}.` : '';
  const text = failure.kind === 'refused' ? `${name} refuses to answer: ${failure.message}.` : `${name} does not answer: ${failure.message}.`;
  if ($('alarm').hidden || $('alarm').told !== text + since) {
    $('alarm').told = text + since;
    $('alarm').replaceChildren(el('p', {}, el('strong', {}, text), since));
    show($('alarm'), true);
  }
  say($('updated'), `Asked at ${clock(Date.now() / 1000)}`);
  judge('bad', 'no answer', `Trouble: this node does not answer.`);
  document.title = `No answer · ${name} · Gaggle`;
}

function judge(tone, state, text) {
  dress($('state'), `tone ${tone}`);
  say($('state'), state);
  dress($('verdict'), `verdict ${tone}`);
  say($('verdict'), text);
}

function render() {
  const {status} = seen;
  const verdict = verdictOf(seen);
  judge(verdict.tone, status.state, verdict.text);
  dress($('state'), `tone ${status.state === 'ready' ? 'ok' : 'warn'}`);
  if (verdict.steady !== lastSteady) {
    // The first one is read with the page.
    if (lastSteady !== '') say($('announce'), verdict.steady);
    lastSteady = verdict.steady;
  }
  say($('name'), status.node);
  const uptime = known(status.uptime_seconds) ? `up for ${span(status.uptime_seconds)}` : '';
  const facts = [
    `Version ${status.version}`, uptime, status.address, `configuration generation ${count(status.generation)}`,
    status.in_flight ? `${bytes(status.in_flight.used)} in flight${known(status.in_flight.limit) ? ` of ${bytes(status.in_flight.limit)}` : ''}` : '',
  ];
  sync($('facts'), facts.filter(Boolean), (fact) => facts.indexOf(fact), () => el('li'), say);
  const mark = {ok: '', none: '', warn: '! ', bad: '!! '}[verdict.tone];
  document.title = `${mark}${status.node} · Gaggle`;
  fillChoices($('lookup-group'), groupsOf(seen).map(([name]) => name), [], busiest(seen));
  renderFigures(seen);
  renderCluster(seen);
  renderTraffic(seen);
  renderOrigins(seen);
  renderHot(seen);
  renderEvents(seen);
  renderGroups(seen);
}

function askForToken(why) {
  halt('a token is needed');
  const wrong = token !== null;
  show($('access'), true);
  show($('alarm'), false);
  say($('access-why'), wrong ? `The node did not take this token: ${why}.` : 'The node shows its state to whoever has the token of the cluster.');
  say($('updated'), 'Waiting for a token');
  if (!seen.status) judge('none', 'locked', 'This page needs the token of the cluster.');
  $('token').focus();
}

function keepToken(value) {
  token = value;
  if (value === null) sessionStorage.removeItem(TOKEN);
  else sessionStorage.setItem(TOKEN, value);
  show($('forget'), value !== null);
}

function start() {
  makePlots();
  makeLookup();
  show($('forget'), token !== null);
  $('access-form').addEventListener('submit', (event) => {
    event.preventDefault();
    const value = $('token').value.trim();
    // What a header cannot hold is no token.
    if (!/^[\x21-\x7e]+$/.test(value)) return;
    keepToken(value);
    $('token').value = '';
    show($('access'), false);
    plan(0);
  });
  $('forget').addEventListener('click', () => {
    keepToken(null);
    location.reload();
  });
  $('pause').addEventListener('click', () => {
    isPaused = !isPaused;
    $('pause').setAttribute('aria-pressed', String(isPaused));
    if (isPaused) {
      halt('paused');
      say($('updated'), seen.at > 0 ? `Paused; as of ${clock(seen.at)}` : 'Paused');
    } else {
      plan(0);
    }
  });
  $('again').addEventListener('click', () => {
    if ($('access').hidden) round();
  });
  $('hot-group').addEventListener('change', () => {
    seen.hot = null;
    renderHot(seen);
    if ($('access').hidden) round();
  });
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) halt('the page is not seen');
    else plan(0);
  });
  round();
}

start();
