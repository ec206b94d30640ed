// Details below a row: timeline, events, log, links and commands to copy. And confirmations.

const LOG_LINES = 500;

function section(title, ...children) {
  return make(
    "section",
    "cw-section",
    {},
    make("h4", "", {}, title),
    ...children,
  );
}

const QUESTIONS = {
  delete: ["Delete", "Cancel", "Its programs stop. Its volumes stay."],
  pause: ["Pause", "Keep running", ""],
  restart: ["Restart", "Keep running", ""],
};

/** Confirmation of an action; calls `answer(true)` for yes. */
class Question {
  constructor(data, action, answer) {
    const [verb, stay, lost] = QUESTIONS[action];
    this.action = action;
    this.title = `${verb} ${data.title}?`;
    const ask = make(
      "p",
      "cw-question",
      {},
      `${verb} `,
      make("em", "", {}, data.title),
      "? ",
    );
    const id = `cw-lost-${Math.random().toString(36).slice(2)}`;
    this.lost = make("span", "", { id }, lost);
    ask.append(this.lost);
    this.yes = make("button", "cw-button cw-danger", { type: "button" }, verb);
    this.no = make("button", "cw-button", { type: "button" }, stay);
    this.yes.addEventListener("click", () => answer(true));
    this.no.addEventListener("click", () => answer(false));
    this.node = make(
      "div",
      "cw-ask",
      { role: "alertdialog", "aria-label": this.title, "aria-describedby": id },
      ask,
      this.yes,
      this.no,
    );
  }

  /** Show what the action loses. */
  explain(text) {
    setText(this.lost, text);
  }

  focus() {
    this.no.focus();
  }
}

/** Return a log line with its timestamp as local time of day. */
function clock(line) {
  const found = /^(\d{4}-\d\d-\d\dT\S+Z) (.*)$/.exec(line);
  const time = found && new Date(found[1].replace(/(\.\d{3})\d+/, "$1"));
  return time && !isNaN(time)
    ? `${time.toLocaleTimeString(undefined, { hour12: false })}  ${found[2]}`
    : line;
}

class Details {
  /** `panel` has send(message), say(text), now() and base(). */
  constructor(data, panel) {
    this.key = data.key;
    this.links = data.links;
    this.panel = panel;
    this.steps = make(
      "ol",
      "cw-steps",
      {},
      make("li", "cw-muted", {}, "Loading…"),
    );
    this.events = make(
      "div",
      "cw-events",
      { tabindex: 0, role: "group", "aria-label": `Events of ${data.title}` },
      make("span", "cw-muted", {}, "Loading…"),
    );
    this.log = make("pre", "cw-log", {
      tabindex: 0,
      role: "group",
      "aria-label": `Log of ${data.title}`,
    });
    this.logEnd = make("span", "cw-muted");
    this.following = make("input", "", { type: "checkbox", checked: true });
    this.following.addEventListener("change", () => this.follow());
    this.facts = make("dl", "cw-facts");
    this.copies = make("div", "cw-copies");
    this.raw = make("pre", "cw-log", {
      tabindex: 0,
      role: "group",
      "aria-label": `Raw cluster messages about ${data.title}`,
    });
    const head = make(
      "div",
      "cw-logHead",
      {},
      this.logEnd,
      make("label", "", {}, this.following, " follow"),
    );
    const close = make(
      "button",
      "cw-button cw-dots cw-close",
      { type: "button", "data-act": "fold", "aria-label": "Close the details" },
      "×",
    );
    this.node = make(
      "div",
      "cw-details",
      { role: "group", "aria-label": `Details of ${data.title}` },
      make(
        "div",
        "cw-side",
        {},
        section("Timeline", this.steps),
        section("About", this.facts),
      ),
      make(
        "div",
        "cw-main",
        {},
        section("Events", this.events),
        section("Log", head, this.log),
        section("Links and commands", this.copies),
        make(
          "details",
          "cw-raw",
          {},
          make("summary", "", {}, "Raw cluster messages"),
          this.raw,
        ),
      ),
      close,
    );
  }

  focus() {
    this.log.focus({ preventScroll: true });
  }

  /** Show parts of the details that the kernel sent. */
  show(message) {
    if (message.steps) {
      this.steps.replaceChildren(
        ...message.steps.map((step) => this.step(step)),
      );
    }
    if (message.events) {
      this.showEvents(message.events);
    }
    if (message.facts) {
      this.facts.replaceChildren(
        ...message.facts.flatMap(([term, value]) => [
          make("dt", "", {}, term),
          make("dd", "", {}, value),
        ]),
      );
    }
    if (message.commands) {
      const links = this.links
        .map(({ label, path }) => ({
          label,
          text: address(path, this.panel.base()),
        }))
        .filter(({ text }) => text);
      this.copies.replaceChildren(
        ...[...links, ...message.commands].map((command) =>
          this.command(command),
        ),
      );
    }
    if (message.raw) {
      setText(this.raw, message.raw);
    }
  }

  step({ name, state, seconds, message }) {
    const sign = make("span", "cw-sign");
    drawSign(
      sign,
      { done: "done", current: "starting", failed: "error" }[state] ??
        "waiting",
    );
    const took = seconds
      ? `${seconds < 10 ? Number(seconds.toFixed(1)) : Math.round(seconds)} s`
      : "";
    const spoken =
      { done: "done", current: "now", failed: "failed", waiting: "waiting" }[
        state
      ] ?? state;
    const line = make(
      "li",
      `cw-step cw-step-${state}`,
      {},
      sign,
      make("span", "cw-stepName", {}, name),
      make("span", "cw-muted", {}, took),
    );
    line.append(make("span", "cw-hidden", {}, spoken));
    if (message && state !== "done") {
      line.append(make("div", "cw-stepWhy", {}, message));
    }
    if (state === "current") {
      line.setAttribute("aria-current", "step");
    }
    return line;
  }

  showEvents(events) {
    if (!events.length) {
      this.events.replaceChildren(
        make("span", "cw-muted", {}, "None in the last hour."),
      );
      return;
    }
    const now = this.panel.now();
    const lines = events.map((event) => {
      const { type, reason, object, count, time, message } = event;
      const times = count > 1 ? ` · ${count} times` : "";
      return make(
        "div",
        `cw-event${type === "Warning" ? " cw-warning" : ""}`,
        { title: `${reason} · ${object}${times}\n${exactTime(time)}` },
        make("span", "cw-muted", {}, span(now - time)),
        make("span", "", {}, message || reason),
      );
    });
    this.events.replaceChildren(...lines);
  }

  command({ label, text }) {
    const copy = make(
      "button",
      "cw-button",
      { type: "button", "aria-label": `Copy: ${label}` },
      "Copy",
    );
    copy.addEventListener("click", () => copyText(text, copy, this.panel));
    return make(
      "div",
      "cw-copy",
      {},
      make("span", "cw-muted", {}, label),
      make("code", "", { title: text }, text),
      copy,
    );
  }

  /** Append lines to the log, and drop the oldest beyond the limit. */
  showLog({ lines, reset, ended }) {
    const atEnd =
      this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 24;
    if (reset) {
      this.log.textContent = "";
    }
    if (lines?.length) {
      const kept = this.log.textContent
        .split("\n")
        .concat(lines.map(clock))
        .filter((line, index) => index || line);
      this.log.textContent = kept.slice(-LOG_LINES).join("\n");
      if (atEnd && this.following.checked) {
        this.log.scrollTop = this.log.scrollHeight;
      }
    }
    setText(this.logEnd, ended ?? "");
  }

  follow() {
    this.panel.send({
      type: "logs",
      key: this.key,
      follow: this.following.checked,
    });
  }
}

/** Copy text, and show the result on the button. */
async function copyText(text, button, panel) {
  try {
    await navigator.clipboard.writeText(text);
    setText(button, "Copied");
    panel.say("Copied");
  } catch {
    setText(button, "Not allowed");
  }
  setTimeout(() => setText(button, "Copy"), 1500);
}
