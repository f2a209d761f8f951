// The keys that the region asks for most.

import { panel } from './panel.js';
import { ownersOf, slotOf } from './slots.js';
import { table } from './table.js';

// A key as its bytes; null when it cannot be read.
function keyBytes(item) {
  if (typeof item.key === 'string') return new TextEncoder().encode(item.key);
  try {
    return Uint8Array.from(atob(item.key_base64 ?? ''), (letter) => letter.charCodeAt(0));
  } catch {
    return null;
  }
}

// Hot keys with their slot and the owner that a ring says.
export function located(keys, ring) {
  const { members, owners } = ownersOf(ring);
  return keys.map((item) => {
    const bytes = keyBytes(item);
    const slot = bytes === null ? null : slotOf(item.namespace, bytes);
    return { ...item, slot, owner: slot === null ? null : members[owners[slot]]?.id };
  });
}

export function hotKeysPanel() {
  const update = table(document.querySelector('#hotkeys .table'), {
    caption: 'Hot keys', key: (item) => `${item.namespace} ${item.key_base64 ?? item.key}`,
    columns: [
      { title: 'namespace', value: (item) => item.namespace },
      { title: 'key', value: (item) => item.key ?? `base64 ${item.key_base64}` },
      { title: 'reads', kind: 'rate', path: 'rate', value: (item) => item.rate },
      { title: 'slot', kind: 'number', value: (item) => item.slot },
      { title: 'owner', value: (item) => item.owner },
    ],
  });
  return panel('hotkeys', {
    source: 'hotkeys', empty: 'No key is asked for often enough to stand out.',
    isEmpty: (answer) => !answer.keys?.length,
    render: (answer, state) => update(located(answer.keys ?? [], state.sources.ring.data)),
  });
}
