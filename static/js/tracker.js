// Tells the collector which page was opened and which named control was selected.
'use strict';
(() => {
  const set = document.currentScript.dataset;
  const points = JSON.parse(set.points);
  const channel = new BroadcastChannel('interaction-data');
  const now = () => performance.now();
  let queue = [], page = set.page, granted = -3000, stopped, asking, opened;
  const stop = () => { stopped = true; queue = []; };
  const send = () => {
    const data = queue.splice(0), body = JSON.stringify({ schema: set.schema, data });
    if (!data.length) return;
    fetch(set.collector, { method: 'POST', mode: 'no-cors', credentials: 'omit', referrerPolicy: 'no-referrer', keepalive: true, body }).catch(() => {});
    channel.postMessage({ sent: data });
  };
  // Before anything is sent the server says yes (204, good for 3 s) or stop (410).
  const flush = () => {
    const at = now();
    if (stopped) return;
    if (at - granted < 3000) { send(); return; }
    asking ||= fetch(set.permission, { cache: 'no-store' }).then(({ status }) => {
      if (status === 204) { granted = at; send(); }
      if (status === 410) { stop(); channel.postMessage({ off: true }); }
    }).catch(() => {}).finally(() => { asking = 0; });
  };
  const note = (point, values) => {
    if (stopped || !points[point] || queue.length > 49) return;
    const event = { ...points[point] }, all = { ...values, eid: crypto.randomUUID(), dtm: `${Date.now()}` };
    for (const name in event) if (!(event[name] ||= all[name])) delete event[name];
    queue.push(event);
    flush();
  };
  const view = (refr) => note('page_view', { page, refr });
  const control = ({ target }) => target.closest?.('[data-track]');
  channel.onmessage = ({ data }) => data.off && stop();
  const on = (name, act) => document.addEventListener(name, act);
  on('pointerdown', (event) => control(event) && flush());
  on('click', (event) => { const named = control(event); if (named) note('click', { se_ac: named.dataset.track, se_la: page }); });
  on('htmx:beforeOnLoad', ({ detail }) => { opened = detail.xhr.getResponseHeader('X-Page'); });
  on('htmx:pushedIntoHistory', () => {
    const from = page;
    if (opened && opened !== page) { page = opened; view(from); }
  });
  view(set.cameFrom);
})();
