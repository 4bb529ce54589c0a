
// The form: who owns a key, what each node holds of it, and its removal from all nodes.
const REMOVAL_WITHIN = 30000;
let looking = new AbortController();

const spelling = () => document.querySelector('input[name=spelling]:checked').value;

/** The key of the form as {bytes, key64, text}, or null, which the note then says. */
function formKey() {
  const input = $('lookup-key');
  const raw = input.value;
  const keyBytes = spelling() === 'base64' ? decode64(raw) : new TextEncoder().encode(raw);
  const limit = seen.status?.groups?.[$('lookup-group').value]?.settings?.max_key_bytes;
  let wrong = '';
  if (keyBytes === null) wrong = 'This is not base64: it takes letters, digits, + and /, or - and _.';
  else if (known(limit) && keyBytes.length > limit) {
    wrong = `The key has ${count(keyBytes.length)} bytes, and the group takes at most ${count(limit)}.`;
  }
  if (wrong) input.setAttribute('aria-invalid', 'true');
  else input.removeAttribute('aria-invalid');
  dress($('lookup-note'), wrong ? 'note bad' : 'muted note');
  const spaces = spelling() === 'text' && raw !== raw.trim();
  say($('lookup-note'), wrong || (spaces ? 'The key begins or ends with a space, which counts.' : ''));
  if (wrong) {
    input.focus();
    return null;
  }
  return {bytes: keyBytes, key64: encode64(keyBytes), text: decodeText(keyBytes)};
}

function result(node, tone, ...parts) {
  dress(node, `result box${tone === 'bad' ? ' bad' : ''}`);
  node.replaceChildren(...parts);
  show(node, true);
}

const TIERS = {main: 'main cache', hot: 'hot copy', absent: 'known absence'};

/** Shows the answer of /held. */
function renderHeld(group, key, told) {
  const holders = told.nodes.filter((node) => node.held).length;
  const unreached = told.nodes.filter((node) => !node.reached || node.error).map((node) => node.name);
  result($('owner'), 'ok',
    ...keyParts(key.text, key.key64), ` of ${group} is owned by ${told.owner.name}${told.owner.self ? ' (this node)' : ''}. `,
    holders === 0 ? 'No node that answered holds it.' : `${plural(holders, 'node holds', 'nodes hold')} it.`,
    unreached.length > 0 ? ` It is not known what ${list(unreached)} ${unreached.length === 1 ? 'holds' : 'hold'}.` : '');
  show($('held'), true);
  fillTable($('held-table'), told.nodes, (node) => node.name, (node) => {
    const held = node.held;
    const failed = !node.reached || node.error;
    const what = failed ? {tone: 'bad', text: node.reached ? 'not known' : 'no answer', small: node.error ?? '', name: 'wrap'}
      : !held ? {text: 'nothing', name: 'muted'}
      : {tone: held.stale ? 'warn' : 'ok', text: `${TIERS[held.tier] ?? held.tier}${held.stale ? ', stale' : ''}`};
    const isKept = held && !failed;
    return [
      {text: node.name, tag: node.name === told.owner.name ? 'owner' : undefined},
      what,
      number(isKept && held.tier !== 'absent' ? bytes(held.bytes) : NONE),
      number(isKept ? span(held.age_seconds) : NONE),
      number(!isKept ? NONE : known(held.fresh_seconds) ? span(held.fresh_seconds) : held.stale ? NONE : 'no end'),
    ];
  }, (node) => (!node.reached || node.error ? 'bad' : ''));
}

async function look(group, key) {
  looking.abort(new Failure('refused', 'another key was asked for'));
  const mine = new AbortController();
  looking = mine;
  try {
    const query = `held?group=${encodeURIComponent(group)}&key64=${encodeURIComponent(key.key64)}`;
    const {json} = await ask(query, {stop: mine.signal});
    if (mine === looking) renderHeld(group, key, json);
  } catch (failure) {
    if (mine !== looking) return;
    show($('held'), false);
    result($('owner'), 'bad', `The lookup failed: ${failure.message}.`);
    if (failure.kind === 'token') askForToken(failure.message);
  }
}

async function removeKey(group, key) {
  const box = $('removal');
  $('remove').disabled = true;
  result(box, 'ok', 'Removing ', ...keyParts(key.text, key.key64), ' …');
  try {
    // In the body a key may be any bytes; in a path, browsers take out `.` and `..`.
    const {json} = await ask(`v1/${encodeURIComponent(group)}/remove`, {
      method: 'POST', body: JSON.stringify({keys64: [key.key64]}), within: REMOVAL_WITHIN, accept: [502],
    });
    const missed = json.missed ?? [];
    const removed = json.removed ?? [];
    const named = removed.length > 0 ? `: ${list(removed, 8)}` : '';
    const done = [...keyParts(key.text, key.key64), ` of ${group} is removed from ${plural(removed.length, 'node')}${named}.`];
    if (missed.length === 0) {
      result(box, 'ok', ...done);
    } else {
      const why = missed.slice(0, 8).map((one) => ` ${one.node} was missed (${one.error}).`);
      const more = missed.length > 8 ? ` ${missed.length - 8} more were missed.` : '';
      result(box, 'bad', ...done, ...why, more, ' A node that was missed learns of it when it is back; repeat the removal to be sure.');
    }
  } catch (failure) {
    const unsure = failure.kind === 'timeout' || failure.kind === 'unreachable';
    result(box, 'bad', `The removal failed: ${failure.message}.${unsure ? ' The key may be removed from some nodes; repeat the removal.' : ''}`);
    if (failure.kind === 'token') askForToken(failure.message);
  } finally {
    $('remove').disabled = false;
    // The button was focused when it was disabled.
    if (document.activeElement === document.body) $('remove').focus({preventScroll: true});
  }
  await look(group, key);
}

/** Fills the form with a key and asks for it. */
function findKey(group, key64) {
  const keyBytes = decode64(key64);
  const text = decodeText(keyBytes);
  // A field of one line cannot hold all characters.
  const isPlain = text !== null && !HIDDEN.test(text);
  $('lookup-group').value = group;
  $('lookup-key').value = isPlain ? text : key64;
  document.querySelector(`input[name=spelling][value=${isPlain ? 'text' : 'base64'}]`).checked = true;
  $('lookup').scrollIntoView();
  $('lookup-key').focus({preventScroll: true});
  $('lookup-form').requestSubmit();
}

function makeLookup() {
  let pending = null;
  $('lookup-form').addEventListener('submit', (event) => {
    event.preventDefault();
    const key = formKey();
    if (key === null) return;
    show($('removal'), false);
    look($('lookup-group').value, key);
  });
  $('remove').addEventListener('click', () => {
    const key = formKey();
    if (key === null) return;
    pending = {group: $('lookup-group').value, key};
    $('confirm-text').replaceChildren(...keyParts(key.text, key.key64), ` of the group ${pending.group}, ${plural(key.bytes.length, 'byte')}`);
    $('confirm').showModal();
  });
  $('confirm-no').addEventListener('click', () => $('confirm').close());
  $('confirm-yes').addEventListener('click', () => {
    const {group, key} = pending;
    $('confirm').close();
    removeKey(group, key);
  });
}
