// Shows on Settings > Web analytics what the open tabs of this browser send.
'use strict';
(() => {
  const shown = document.getElementById('live-event');
  new BroadcastChannel('interaction-data').onmessage = ({ data }) => {
    if (data.sent) {
      shown.textContent = JSON.stringify(data.sent.at(-1), null, 2);
      shown.previousElementSibling.firstChild.textContent = `Last event, ${new Date().toISOString().slice(11, 19)} UTC`;
    }
    if (data.off) shown.textContent = 'Nothing more: interaction data is off.';
  };
})();
