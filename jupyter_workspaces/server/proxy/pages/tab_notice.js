// Shows a notice in the tab of a workspace that is no longer available. tab_notice.py adds this
// script to pages.
//
// It changes nothing in the page. It requests the workspace's state from the proxy only when a
// request of the page fails like the proxy's or a reverse proxy's own responses, when the browser is
// online again, and when the user returns to the tab after a minute or more (a closed WebSocket
// leaves no Resource Timing entry).
(() => {
  'use strict';
  const script = document.currentScript;
  if (!script || window.top !== window || !window.PerformanceObserver) return;
  script.remove();

  const METRIC = 'jupyter-workspaces';
  // 0: no response; 424 and others: reverse proxies in front.
  const FAILURES = new Set([0, 410, 424, 502, 503, 504]);
  const FIRST = 2000, LONGEST = 30000, RETURN = 60000, TIMEOUT = 15000, RUNNING_NOTICE = 10000;
  const stateUrl = new URL('state', script.src).href;
  const own = new URL('.', script.src).href;
  const workspace = new URL('../../', script.src).href;
  const name = decodeURIComponent(workspace.split('/').at(-2));
  const originalFetch = window.fetch.bind(window);

  let wait = FIRST, timer = 0, earliest = 0, lastCheck = Date.now();
  let checkRequested = false, probe = false;
  let failures = 0, checking = false;
  let shown = null; // the state in the notice, or null
  let dismissed = ''; // the message that the user dismissed
  let unavailable = false;

  function failed(entry) {
    if (!entry.name.startsWith(workspace) || entry.name.startsWith(own)) return false;
    const timing = (entry.serverTiming || []).find(one => one.name === METRIC);
    if (timing && timing.description === 'silent') probe = true;
    return Boolean(timing) || FAILURES.has(entry.responseStatus);
  }

  function scheduleCheck() {
    if (timer || checking || document.hidden) return;
    timer = setTimeout(checkState, Math.max(0, earliest - Date.now()));
  }

  function requestCheck() {
    checkRequested = true;
    scheduleCheck();
  }

  async function requestState() {
    const url = probe ? stateUrl + '?probe=1' : stateUrl;
    try {
      const answer = await originalFetch(url, {
        headers: {Accept: 'application/json'}, cache: 'no-store', signal: AbortSignal.timeout(TIMEOUT),
      });
      const status = await answer.json();
      if (typeof status.message !== 'string') throw new TypeError('not a response of the proxy');
      failures = 0;
      if (!answer.ok) return {state: 'refused', message: status.message, action: 'reload'};
      return status;
    } catch {
      failures += 1;
      if (failures === 1 && !unavailable) return null; // one failure may be accidental
      return {
        state: 'server',
        message: `The Jupyter server that opens workspace '${name}' does not answer. Trying again.`,
        action: null,
      };
    }
  }

  async function checkState() {
    timer = 0;
    if (document.hidden) return;
    checkRequested = false;
    checking = true;
    const status = await requestState();
    checking = false;
    lastCheck = Date.now();
    earliest = lastCheck + wait;
    wait = Math.min(wait * 2, LONGEST);
    if (status === null) {
      requestCheck();
    } else if (status.state === 'running') {
      probe = false;
      if (unavailable) {
        wait = FIRST;
        const message = `Workspace '${name}' is running again.`;
        showNotice({state: 'running', message, action: 'reload'});
        setTimeout(() => shown && shown.state === 'running' && hideNotice(), RUNNING_NOTICE);
      }
      unavailable = false;
      dismissed = '';
      if (checkRequested) scheduleCheck();
    } else {
      if (!unavailable) wait = FIRST * 2;
      unavailable = true;
      showNotice(status);
      requestCheck();
    }
  }

  // The notice

  const COLOURS = {paused: 'muted', stopping: 'muted', gone: 'muted', starting: 'brand', running: 'done'};
  const SIGNS = {
    muted: 'M4 3h3v10H4zM9 3h3v10H9z',
    gone: 'M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1zm0 2a5 5 0 1 1 0 10A5 5 0 0 1 8 3z',
    brand: 'M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1zm0 2a5 5 0 0 0 0 10z',
    done: 'M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2z',
    error: 'M8 1 15.500 14.500H.5zM7.200 5.500v4.500h1.600V5.500zM7.200 11.200v1.600h1.600v-1.600z',
    close: 'M3.300 4.200 4.200 3.300 8 7.100l3.800-3.800.9.9L8.900 8l3.800 3.800-.9.9L8 8.900l-3.800 3.800-.9-.9L7.100 8z',
  };
  const STYLE = `
    :host { all: initial; position: fixed; inset: 8px 8px auto; z-index: 2147483647; display: flex;
      justify-content: center; pointer-events: none }
    * { box-sizing: border-box }
    .bar { --text: rgba(0,0,0,.87); --soft: rgba(0,0,0,.6); --card: #fff; --line: #bdbdbd; --brand: #1976d2;
      --on: #fff; --error: #c62828; --done: #2e7d32; --hover: rgba(0,0,0,.07);
      display: flex; align-items: center; gap: 4px 12px; max-width: 720px; min-height: 40px; padding: 3px 4px 3px 12px;
      pointer-events: auto; color: var(--text); background: var(--card); border: 1px solid var(--line);
      border-radius: 4px; box-shadow: 0 1px 3px rgba(0,0,0,.2), 0 4px 16px rgba(0,0,0,.24);
      font: 13px/1.4 system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif;
      animation: come .16s ease-out }
    .bar.dark { --text: rgba(255,255,255,.87); --soft: rgba(255,255,255,.6); --card: #303030; --line: #616161;
      --brand: #64b5f6; --on: #0d1b2a; --error: #ef9a9a; --done: #81c784; --hover: rgba(255,255,255,.12);
      color-scheme: dark }
    @keyframes come { from { opacity: 0; transform: translateY(-8px) } }
    @media (prefers-reduced-motion: reduce) { .bar { animation: none } }
    svg { flex: none; width: 16px; height: 16px; fill: currentColor }
    .sign { color: var(--soft) }
    .sign.brand { color: var(--brand) } .sign.error { color: var(--error) } .sign.done { color: var(--done) }
    .words { display: flex; flex: 1; flex-wrap: wrap; align-items: center; gap: 4px 12px; min-width: 0 }
    .words span { flex: 1 1 auto; max-width: 100%; padding: 4px 0; overflow-wrap: anywhere }
    button, a { flex: none; display: inline-flex; align-items: center; min-height: 28px; margin: 0; padding: 0 12px;
      border: 1px solid var(--brand); border-radius: 3px; background: var(--brand); color: var(--on); font: inherit;
      font-weight: 500; text-decoration: none; white-space: nowrap; cursor: pointer }
    .close { padding: 0; width: 32px; height: 32px; justify-content: center; border-color: transparent;
      background: none; color: var(--soft) }
    .close:hover { background: var(--hover) }
    button:focus-visible, a:focus-visible { outline: 2px solid var(--brand); outline-offset: 2px }
    @media (max-width: 480px) { .bar { width: 100%; align-items: flex-start; padding-left: 10px }
      .sign { margin-top: 9px } .words { padding-bottom: 5px } .words span { flex-basis: 100%; padding-top: 7px } }
    @media (forced-colors: active) { .bar { box-shadow: none } }
    @media print { :host { display: none } }
  `;
  let host = null, bar = null;

  function createElement(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  }

  function createIcon(path, className) {
    const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
    svg.setAttribute('viewBox', '0 0 16 16');
    svg.setAttribute('aria-hidden', 'true');
    svg.setAttribute('class', className);
    const line = document.createElementNS(svg.namespaceURI, 'path');
    line.setAttribute('d', path);
    line.setAttribute('fill-rule', 'evenodd');
    svg.append(line);
    return svg;
  }

  function isDark() {
    const light = document.body && document.body.dataset.jpThemeLight; // JupyterLab's theme
    return light ? light === 'false' : matchMedia('(prefers-color-scheme: dark)').matches;
  }

  function createHost() {
    host = createElement('div', {'data-jupyter-workspaces': 'notice'});
    const shadow = host.attachShadow({mode: 'open'});
    const sheet = new CSSStyleSheet(); // a page's policy may forbid a style element
    sheet.replaceSync(STYLE);
    shadow.adoptedStyleSheets = [sheet];
    bar = createElement('div', {role: 'alert', class: 'bar'});
    shadow.append(bar);
    host.addEventListener('keydown', event => {
      if (event.key === 'Escape') closeNotice();
      event.stopPropagation(); // not for the page's shortcuts
    });
  }

  function button(action) {
    if (action === 'reload') {
      const reload = createElement('button', {type: 'button'}, 'Reload');
      reload.addEventListener('click', () => location.reload());
      return reload;
    }
    let url;
    try {
      url = new URL(action.url, stateUrl);
    } catch {
      return '';
    }
    if (!['http:', 'https:'].includes(url.protocol)) return '';
    // Opens in a new tab, because this one may have unsaved changes.
    const attributes = {href: url.href, target: '_blank', rel: 'noopener'};
    return createElement('a', {...attributes, title: 'Opens in a new tab'}, action.label);
  }

  function showNotice(status) {
    if (shown && shown.message === status.message) return;
    if (dismissed === status.message) return;
    dismissed = '';
    shown = status;
    if (!host) createHost();
    const colour = COLOURS[status.state] || 'error';
    const sign = status.state === 'gone' ? SIGNS.gone : SIGNS[colour];
    const attributes = {type: 'button', class: 'close', 'aria-label': 'Close', title: 'Close'};
    const exit = createElement('button', attributes, createIcon(SIGNS.close, ''));
    exit.addEventListener('click', closeNotice);
    const words = createElement('div', {class: 'words'}, createElement('span', {}, status.message));
    if (status.action) words.append(button(status.action));
    const focused = host.shadowRoot.activeElement !== null;
    bar.classList.toggle('dark', isDark());
    bar.replaceChildren(createIcon(sign, `sign ${colour}`), words, exit);
    if (focused) (words.querySelector('a, button') || exit).focus();
    // Before the body, so that it is first in tab order.
    if (!host.isConnected) document.documentElement.insertBefore(host, document.body);
  }

  function hideNotice() {
    shown = null;
    if (host) host.remove();
  }

  function closeNotice() {
    dismissed = shown ? shown.message : '';
    hideNotice();
  }

  // Events after which the state is requested

  new PerformanceObserver(list => {
    if (list.getEntries().some(failed)) requestCheck();
  }).observe({type: 'resource', buffered: true});
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) return;
    if (checkRequested || Date.now() - lastCheck > RETURN) requestCheck();
  });
  window.addEventListener('online', requestCheck);
})();
