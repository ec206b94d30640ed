// In a page of a workspace's program: says that the workspace does not answer any more, and what to do.
//
// It opens no connection while all is well. The browser's own record of the page's requests says when one
// was answered with an error; only then this asks the proxy, which answers for a workspace that is away.
(() => {
  'use strict';
  const { path, name } = document.currentScript.dataset;
  const titles = TITLES;
  const STATE = 'Jupyter-Workspaces-State';
  const FIRST_PAUSE = 2000;
  const LONGEST_PAUSE = 30000;
  const AWAY = [410, 502, 503, 504];

  let pause = FIRST_PAUSE;
  let notBefore = 0;
  let timer = 0;
  let looking = false;
  let shown = ''; // a state
  let said = '';
  let closed = '';
  let host = null;

  async function look() {
    clearTimeout(timer);
    if (looking || document.hidden) return;
    const early = notBefore - Date.now();
    if (early > 0) {
      timer = setTimeout(look, early);
      return;
    }
    looking = true;
    const abort = new AbortController();
    let state = '';
    try {
      const answer = await fetch(path, { headers: { Accept: 'application/json' }, cache: 'no-store', redirect: 'manual', signal: abort.signal });
      state = answer.headers.get(STATE) ?? '';
      if (state in titles) show(state, (await answer.json()).message);
      else hide();
    } catch {
      state = shown; // the server itself does not answer: what was known stays
    } finally {
      abort.abort();
      looking = false;
    }
    pause = Math.min(pause * 2, LONGEST_PAUSE);
    notBefore = Date.now() + pause;
    if (state in titles) timer = setTimeout(look, pause);
  }

  function element(tag, text, properties = {}) {
    return Object.assign(document.createElement(tag), { textContent: text, ...properties });
  }

  function show(state, message) {
    if (state === closed || (state === shown && message === said)) return;
    hide();
    shown = state;
    said = message;
    host = document.createElement('div');
    const root = host.attachShadow({ mode: 'closed' });
    const style = new CSSStyleSheet();
    style.replaceSync(STYLE);
    root.adoptedStyleSheets = [style];
    const bar = element('section', '', { role: 'alert' });
    const text = element('p', '');
    const why = message.replace(`${name}: `, '');
    if (!why.includes(name)) text.append(element('strong', titles[state].title.replace('{name}', name)), ' ');
    text.append(why);
    bar.append(text);
    if (titles[state].action) {
      bar.append(element('a', titles[state].action, { href: path, target: '_blank', rel: 'noopener' }));
    }
    const close = element('button', '×', { type: 'button', ariaLabel: 'Close this message' });
    close.addEventListener('click', () => {
      closed = state;
      hide();
    });
    bar.append(close);
    root.append(bar);
    document.body.append(host);
  }

  function hide() {
    host?.remove();
    host = null;
    shown = '';
  }

  const observer = new PerformanceObserver(list => {
    const away = list.getEntries().some(({ name: url, responseStatus }) => AWAY.includes(responseStatus) && new URL(url).pathname.startsWith(path));
    if (away) {
      look();
    } else if (!shown && Date.now() > notBefore) {
      pause = FIRST_PAUSE;
      closed = '';
    }
  });
  observer.observe({ type: 'resource' });
  document.addEventListener('visibilitychange', () => {
    if (shown) look();
  });

  const STYLE = `
    section { position: fixed; inset: 0 0 auto 0; z-index: 2147483647; display: flex; flex-wrap: wrap; align-items: center; gap: 4px 12px;
      box-sizing: border-box; padding: 8px 12px; background: #fff; color: rgba(0, 0, 0, .87); border-bottom: 1px solid #bdbdbd;
      box-shadow: 0 2px 6px rgba(0, 0, 0, .2); font: 13px/1.5 system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif;
      color-scheme: light }
    p { flex: 1 1 220px; margin: 0; overflow-wrap: anywhere }
    strong { font-weight: 600 }
    a { display: inline-flex; align-items: center; min-height: 28px; padding: 0 12px; border-radius: 3px; background: #1976d2; color: #fff;
      font-weight: 500; text-decoration: none }
    button { width: 28px; margin-left: auto; height: 28px; padding: 0; border: 0; border-radius: 3px; background: none; color: inherit; font: 18px/1 system-ui;
      cursor: pointer }
    button:hover { background: rgba(128, 128, 128, .2) }
    a:focus-visible, button:focus-visible { outline: 2px solid #1976d2; outline-offset: 2px }
    @media (prefers-color-scheme: dark) {
      section { background: #212121; color: rgba(255, 255, 255, .87); border-color: #616161; color-scheme: dark }
      a { background: #64b5f6; color: #0d1b2a }
      a:focus-visible, button:focus-visible { outline-color: #64b5f6 }
    }
    @media (forced-colors: active) { a { border: 1px solid LinkText } }
    @media print { section { display: none } }`;
})();
