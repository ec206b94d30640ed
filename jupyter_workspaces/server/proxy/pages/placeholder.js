// Updates a placeholder page: shows the steps of a start, and reloads when the state changes.
const {status: url, state} = document.currentScript.dataset;
const byId = id => document.getElementById(id);
const marks = {
  done: ['✓', 'done'], current: ['◐', 'now'], failed: ['▲', 'failed'], waiting: ['○', 'to come'],
};
let current = '';
function show(status) {
  const text = JSON.stringify([status.message, status.steps]);
  if (text === current) return;
  current = text;
  if (byId('message').textContent !== status.message) byId('message').textContent = status.message;
  byId('steps').hidden = !status.steps.length;
  byId('steps').replaceChildren(...status.steps.map(step => {
    const item = document.createElement('li');
    item.className = step.state;
    if (step.state === 'current' || step.state === 'failed') item.setAttribute('aria-current', 'step');
    const mark = document.createElement('span');
    mark.className = 'mark';
    mark.setAttribute('aria-hidden', 'true');
    mark.textContent = marks[step.state][0];
    const name = document.createElement('span');
    name.textContent = step.name;
    const spoken = document.createElement('span');
    spoken.className = 'spoken';
    spoken.textContent = ' (' + marks[step.state][1] + ')';
    name.append(spoken);
    const time = document.createElement('span');
    time.className = 'time';
    const seconds = step.seconds;
    time.textContent = seconds === null ? '' : seconds < 60 ? seconds.toFixed(1) + ' s' : Math.round(seconds / 60) + ' min';
    item.append(mark, name, time);
    return item;
  }));
}
let wait = 1000;
async function update() {
  try {
    const response = await fetch(url, {headers: {Accept: 'application/json'}, cache: 'no-store'});
    if (response.status === 403) { location.reload(); return; }
    const status = await response.json();
    if (status.ready || status.state !== state) { location.reload(); return; }
    show(status);
    byId('problem').textContent = '';
    wait = 1000;
  } catch {
    byId('problem').textContent = 'The server does not answer. Trying again.';
    wait = Math.min(wait * 2, 15000);
  }
  setTimeout(update, document.hidden ? Math.max(wait, 5000) : wait);
}
setTimeout(update, wait);
const form = byId('act');
if (form) form.addEventListener('submit', async event => {
  event.preventDefault();
  const button = form.querySelector('button');
  button.disabled = true;
  byId('problem').textContent = '';
  try {
    const body = new URLSearchParams({action: button.value});
    const response = await fetch(url, {method: 'POST', body, headers: {Accept: 'application/json'}});
    if (!response.ok) throw new Error((await response.json()).message);
    location.reload();
  } catch (error) {
    button.disabled = false;
    byId('problem').textContent = error.message || 'The action failed. Try again.';
    button.focus();
  }
});
