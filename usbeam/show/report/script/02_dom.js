// Making elements. Text always goes in as text nodes: whatever a file says is shown, never run.

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element[name] = value;
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat());
  return element;
}

const html = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);

const svg = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

const byId = (id) => document.getElementById(id);

/** Replace children, keeping the keyboard's focus on the element of the same id. */
function refill(parent, ...children) {
  const focused = document.activeElement?.id;
  parent.replaceChildren(...children.flat());
  if (focused && document.activeElement?.id !== focused) byId(focused)?.focus();
}

/** A function that runs `work` once before the next picture, however often it is called. */
function soon(work) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      work();
    });
  };
}
