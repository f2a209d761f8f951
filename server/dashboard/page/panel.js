// A section of the page that shows one source: it knows the states loading, error, empty and ready.

import { el, setAttribute, setText } from './dom.js';
import { panelState } from './state.js';

// Binds the section `id`. `empty`: what is said when there is nothing to show; `isEmpty(data)`,
// `render(data, state)`. Returns update(state).
export function panel(id, { source, empty, isEmpty = () => false, render }) {
  const section = document.getElementById(id);
  const note = el('p', { class: 'note' });
  section.querySelector('h2').after(note);
  return (state) => {
    const known = state.sources[source];
    const shown = panelState(known, isEmpty);
    setAttribute(section, 'data-state', shown);
    setAttribute(section, 'aria-busy', shown === 'loading' ? 'true' : null);
    setText(note, {
      loading: 'Loading…',
      error: `Could not be loaded: ${known.error?.message || known.error?.reason}`,
      empty,
      ready: '',
    }[shown]);
    if (known.data !== null) render(known.data, state);
  };
}
