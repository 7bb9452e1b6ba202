// The frame around the two parts: tabs.
import { announce, showProtocol } from './bar.js';
import { startChat } from './chat.js';
import { startEvents } from './events.js';

/** Tabs as the ARIA authoring practices have them: arrows move, the address remembers. `#run=ID` is a run in the chat. */
function startTabs(openChat) {
  const tabs = [...document.querySelectorAll('[role="tab"]')];

  const select = (tab) => {
    for (const other of tabs) {
      const selected = other === tab;
      other.setAttribute('aria-selected', String(selected));
      other.tabIndex = selected ? 0 : -1;
      document.getElementById(other.getAttribute('aria-controls')).hidden = !selected;
    }
  };
  const addressed = () => {
    const part = location.hash.slice(1);
    const tab = tabs.find((tab) => tab.getAttribute('aria-controls') === part) ?? tabs[0];
    return { tab, run: new URLSearchParams(part).get('run') };
  };
  const choose = (tab) => {
    select(tab);
    // Not location.hash: that would scroll the part under the bar.
    history.replaceState(null, '', `#${tab.dataset.address ?? tab.getAttribute('aria-controls')}`);
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
  addEventListener('hashchange', () => {
    const { tab, run } = addressed();
    select(tab);
    if (tab === tabs[0]) openChat(run);
  });
  const { tab, run } = addressed();
  select(tab);
  openChat(run);
}

showProtocol();
startTabs(startChat(announce));
startEvents(announce);
