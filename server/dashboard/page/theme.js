// Light, dark, or as the system says; kept in this browser.

const KEY = 'meridian-theme';
const NEXT = { auto: 'light', light: 'dark', dark: 'auto' };

function stored() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;  // A browser that keeps nothing.
  }
}

// `changed()` is called whenever the colours of the page may be others.
export function bindTheme(button, changed) {
  let theme = stored() in NEXT ? stored() : 'auto';
  const show = () => {
    if (theme === 'auto') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    button.textContent = `Colours: ${theme}`;
    changed();
  };
  button.addEventListener('click', () => {
    theme = NEXT[theme];
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // Then it is for this visit.
    }
    show();
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', show);
  show();
}

// A colour of page.css by its name, such as "--good".
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
