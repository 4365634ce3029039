// What the pages do beyond links and forms. Everything here is comfort: without it, all works.
'use strict';
(() => {
  const find = (id) => document.getElementById(id);
  const say = (text) => { const live = find('live'); if (live) live.textContent = text; };
  const show = (id, yes) => { const bar = find(id); if (bar) bar.hidden = !yes; };

  // Focus: to the first message, error summary or heading that asks for it.
  const focusIn = (root) => {
    const first = root.matches('[data-focus]') ? root : root.querySelector('[data-focus]');
    if (first) first.focus();
  };

  // A button that waits for typed words is marked as not ready until they match.
  const match = (button) => {
    const typed = find(button.dataset.need).value.trim();
    button.setAttribute('aria-disabled', String(typed !== button.dataset.want));
  };
  const prepare = (root) => root.querySelectorAll('[data-need]').forEach(match);

  // Drop zones fill the input and name the file; only the form's own button sends it.
  const showFile = (input) => {
    const row = document.querySelector(`[data-file-of="${input.id}"]`);
    const file = input.files[0];
    if (!row) return;
    row.hidden = !file;
    if (!file) return;
    const size = file.size < 1024 ? `${file.size} bytes` : `${(file.size / 1024).toFixed(1)} KB`;
    row.querySelector('[data-file-name]').textContent = file.name;
    row.querySelector('[data-file-size]').textContent = size;
    row.querySelector('[data-remove]').setAttribute('aria-label', `Remove ${file.name}`);
    say(`${file.name}, ${size}, chosen`);
  };
  const overZone = (event, over) => {
    const zone = event.target.closest?.('[data-drop]');
    if (!zone) return null;
    event.preventDefault();
    zone.classList.toggle('n-is-over', over);
    return zone;
  };
  document.addEventListener('dragover', (event) => overZone(event, true));
  document.addEventListener('dragleave', (event) => overZone(event, false));
  document.addEventListener('drop', (event) => {
    const input = overZone(event, false)?.querySelector('input[type=file]');
    if (!input || !event.dataTransfer.files.length) return;
    input.files = event.dataTransfer.files;
    input.dispatchEvent(new Event('change', { bubbles: true }));
  });

  const copy = async (id) => {
    const source = find(id);
    try {
      await navigator.clipboard.writeText(source.textContent);
      say('Copied');
    } catch {
      getSelection().selectAllChildren(source);
      say('Selected. Copy it with the keyboard.');
    }
  };

  document.addEventListener('click', (event) => {
    const on = (name) => event.target.closest(`[data-${name}]`);
    const needs = on('need');
    if (needs?.getAttribute('aria-disabled') === 'true') event.preventDefault();
    const opens = on('dialog');
    if (opens && find(opens.dataset.dialog)) {
      event.preventDefault();
      find(opens.dataset.dialog).showModal();
    }
    const copies = on('copy');
    if (copies) copy(copies.dataset.copy);
    const shows = on('show');
    if (shows) {
      const input = find(shows.dataset.show);
      const plain = input.type === 'password';
      input.type = plain ? 'text' : 'password';
      shows.setAttribute('aria-pressed', String(plain));
    }
    const removes = on('remove');
    if (removes) {
      const input = find(removes.dataset.remove);
      input.value = '';
      showFile(input);
      input.focus();
    }
    const hides = on('hide');
    if (hides) show(hides.dataset.hide, false);
    if (on('stay')) stay();
  });
  document.addEventListener('input', (event) => {
    document.querySelectorAll(`[data-need="${event.target.id}"]`).forEach(match);
  });
  document.addEventListener('change', (event) => {
    if (event.target.matches('[data-drop] input[type=file]')) showFile(event.target);
  });

  // htmx: the CSRF token, the focus after a swap, and a word when the server is away.
  document.addEventListener('htmx:configRequest', ({ detail }) => {
    const token = document.querySelector('meta[name=csrf-token]');
    const same = new URL(detail.path, location.href).origin === location.origin;
    if (token && same && detail.verb !== 'get') detail.headers['X-CSRFToken'] = token.content;
  });
  document.addEventListener('htmx:load', ({ detail }) => {
    prepare(detail.elt);
    if (detail.elt !== document.body) focusIn(detail.elt);
  });
  let probe = 0;
  const online = () => { clearInterval(probe); probe = 0; show('bar-offline', false); };
  document.addEventListener('htmx:sendError', () => {
    show('bar-offline', true);
    const icon = document.querySelector('link[rel=icon]').href;
    probe ||= setInterval(() => fetch(icon, { cache: 'no-store' }).then(online, () => {}), 5000);
  });
  document.addEventListener('htmx:responseError', () => show('bar-failed', true));
  document.addEventListener('htmx:afterRequest', ({ detail }) => {
    if (detail.successful) { online(); show('bar-failed', false); }
  });

  // The end of an idle session is announced two minutes before; opening any page extends it.
  const session = find('bar-session');
  const watch = () => {
    const left = session.dataset.sessionEnds * 1000 - Date.now();
    const ends = new Date(session.dataset.sessionEnds * 1000).toISOString().slice(11, 16);
    session.querySelector('[data-clock]').textContent = ends;
    session.hidden = left > 120000;
    if (session.hidden) setTimeout(watch, Math.min(left - 120000, 2 ** 31 - 1));
  };
  const stay = async () => {
    const page = await fetch(location.href).then((answer) => answer.text(), () => '');
    const ends = page.match(/data-session-ends="(\d+)"/);
    if (!ends) { location.reload(); return; }
    session.dataset.sessionEnds = ends[1];
    watch();
    say('You stay signed in');
  };
  if (session) watch();

  prepare(document);
  if (!location.hash) focusIn(document.body);
})();
