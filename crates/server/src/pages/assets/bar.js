// What every page has at its top: over which protocol it came, and announcements for screen readers.

const PROTOCOLS = { h2: 'HTTP/2', h3: 'HTTP/3', 'http/1.1': 'HTTP/1.1', 'http/1.0': 'HTTP/1.0' };

/** Announcements kept for a screen reader to go back to. */
const ANNOUNCEMENTS = 8;

/** Over which protocol this page came, as its name is written. */
export function protocol() {
  const [navigation] = performance.getEntriesByType('navigation');
  const name = navigation?.nextHopProtocol;
  return PROTOCOLS[name] ?? (name || 'unknown');
}

export function showProtocol() {
  document.getElementById('protocol').textContent = protocol();
}

/** Says `text` to a screen reader when it has nothing else to say. */
export function announce(text) {
  const announcements = document.getElementById('announcements');
  const line = document.createElement('p');
  line.textContent = text;
  announcements.append(line);
  while (announcements.childElementCount > ANNOUNCEMENTS) announcements.firstElementChild.remove();
}
