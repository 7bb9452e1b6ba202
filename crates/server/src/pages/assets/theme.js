// The theme before the first paint: what was chosen on an earlier visit, else what the system prefers.
'use strict';

(() => {
  const KEY = 'wellspring.theme';
  const root = document.documentElement;

  // Storage throws where cookies are blocked; the page then forgets the choice and works.
  const read = () => {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null;
    }
  };
  const write = (theme) => {
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // Forgotten with the page.
    }
  };

  const chosen = read();
  if (chosen === 'light' || chosen === 'dark') root.dataset.theme = chosen;

  const system = matchMedia('(prefers-color-scheme: dark)');
  const isDark = () => (root.dataset.theme ? root.dataset.theme === 'dark' : system.matches);

  document.addEventListener('DOMContentLoaded', () => {
    const button = document.getElementById('theme');
    const show = () => button.setAttribute('aria-pressed', String(isDark()));
    button.addEventListener('click', () => {
      root.dataset.theme = isDark() ? 'light' : 'dark';
      write(root.dataset.theme);
      show();
    });
    system.addEventListener('change', show);
    show();
  });
})();
