// The frame around the two parts: tabs, the protocol badge, announcements.
import { startChat } from './chat.js';
import { startEvents } from './events.js';

const PROTOCOLS = { h2: 'HTTP/2', h3: 'HTTP/3', 'http/1.1': 'HTTP/1.1', 'http/1.0': 'HTTP/1.0' };

/** Announcements kept for a screen reader to go back to. */
const ANNOUNCEMENTS = 8;

const announcements = document.getElementById('announcements');

/** Says `text` to a screen reader when it has nothing else to say. */
function announce(text) {
  const line = document.createElement('p');
  line.textContent = text;
  announcements.append(line);
  while (announcements.childElementCount > ANNOUNCEMENTS) announcements.firstElementChild.remove();
}

function showProtocol() {
  const [navigation] = performance.getEntriesByType('navigation');
  const name = navigation?.nextHopProtocol;
  document.getElementById('protocol').textContent = PROTOCOLS[name] ?? (name || 'unknown');
}

/** Tabs as the ARIA authoring practices have them: arrows move, the address remembers. */
function startTabs() {
  const tabs = [...document.querySelectorAll('[role="tab"]')];

  const select = (tab) => {
    for (const other of tabs) {
      const selected = other === tab;
      other.setAttribute('aria-selected', String(selected));
      other.tabIndex = selected ? 0 : -1;
      document.getElementById(other.getAttribute('aria-controls')).hidden = !selected;
    }
  };
  const fromAddress = () => {
    const part = location.hash.slice(1);
    select(tabs.find((tab) => tab.getAttribute('aria-controls') === part) ?? tabs[0]);
  };
  const choose = (tab) => {
    select(tab);
    // Not location.hash: that would scroll the part under the bar.
    history.replaceState(null, '', `#${tab.getAttribute('aria-controls')}`);
  };

  for (const [index, tab] of tabs.entries()) {
    tab.addEventListener('click', () => choose(tab));
    tab.addEventListener('keydown', (event) => {
      const to = {
        ArrowRight: index + 1,
        ArrowLeft: index - 1 + tabs.length,
        Home: 0,
        End: tabs.length - 1,
      }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      const next = tabs[to % tabs.length];
      choose(next);
      next.focus();
    });
  }
  addEventListener('hashchange', fromAddress);
  fromAddress();
}

startTabs();
showProtocol();
startChat(announce);
startEvents(announce);
