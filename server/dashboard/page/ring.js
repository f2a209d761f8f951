// Who owns what: a picture of the 1024 slots, and a form that finds the slot and the owner of a key.

import { el, keyed, setAttribute, setText } from './dom.js';
import { format } from './format.js';
import { panel } from './panel.js';
import { ownersOf, slotOf, SLOTS } from './slots.js';

const SVG = 'http://www.w3.org/2000/svg';
const COLUMNS = 32;
const LIMITS = { namespace: /^[a-z0-9_.-]{1,64}$/, keyBytes: 1024 };

function svg(name, attributes) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}

// Hues that differ as far as may be and are not red, which is for what is dead; the same for a member
// as long as the members stay.
const tint = (index) => 40 + (index * 179.2 + 175) % 290;

// A path of the cells of all slots that `index` owns; null: nobody.
function cells(owners, index) {
  return owners.map((owner, slot) => owner === index
    ? `M${slot % COLUMNS + 0.06} ${Math.floor(slot / COLUMNS) + 0.06}h.88v.88h-.88z` : '').join('');
}

// What an answer of the form says: {slot, text} or {problem}.
export function findKey(namespace, key, { members, owners }) {
  if (!LIMITS.namespace.test(namespace)) {
    return { problem: 'A namespace has 1 to 64 of a–z, 0–9, _ . and -' };
  }
  const size = new TextEncoder().encode(key).length;
  if (size < 1 || size > LIMITS.keyBytes) return { problem: 'A key has 1 to 1024 bytes' };
  const slot = slotOf(namespace, key);
  const owner = members[owners[slot]];
  return { slot, text: owner
    ? `Slot ${slot}, owned by ${owner.id} (${owner.data_address || 'address not known'})`
    : `Slot ${slot}, which nobody owns` };
}

export function ringPanel() {
  const section = document.getElementById('ring');
  const picture = section.querySelector('svg');
  const legend = section.querySelector('.legend');
  const form = section.querySelector('form');
  const result = form.querySelector('output');
  const marker = svg('rect', { width: 1, height: 1, class: 'marker', visibility: 'hidden' });
  let known = ownersOf(null);
  let drawn = '';

  const mark = (slot) => {
    setAttribute(marker, 'x', slot % COLUMNS);
    setAttribute(marker, 'y', Math.floor(slot / COLUMNS));
    setAttribute(marker, 'visibility', 'visible');
  };
  const find = () => {
    const found = findKey(form.elements.namespace.value.trim(), form.elements.key.value, known);
    setText(result, found.problem ?? found.text);
    if (found.slot !== undefined) mark(found.slot);
  };
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    find();
  });
  picture.addEventListener('pointermove', (event) => {
    const box = picture.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left) / box.width * COLUMNS);
    const row = Math.floor((event.clientY - box.top) / box.height * (SLOTS / COLUMNS));
    const slot = row * COLUMNS + column;
    if (slot < 0 || slot >= SLOTS || column < 0 || column >= COLUMNS) return;
    setText(section.querySelector('.pointed'),
      `Slot ${slot}: ${known.members[known.owners[slot]]?.id ?? 'nobody'}`);
  });

  const draw = (ring) => {
    known = ownersOf(ring);
    const paths = known.members.map((_, index) => {
      const path = svg('path', { d: cells(known.owners, index), class: 'member' });
      path.style.setProperty('--hue', tint(index));
      return path;
    });
    picture.replaceChildren(...paths, svg('path', { d: cells(known.owners, null), class: 'nobody' }),
      marker);
    setAttribute(picture, 'aria-label', 'Slots: ' +
      known.members.map((member) => `${member.id} ${member.slots}`).join(', '));
    keyed(legend, known.members.map((member, index) => ({ member, index })), {
      key: ({ member }) => member.id,
      make: () => el('li', {}, el('span', { class: 'swatch' }), el('span', { class: 'words' })),
      update: (node, { member, index }) => {
        node.firstChild.style.setProperty('--hue', tint(index));
        setText(node.lastChild, `${member.id}: ${format('count', member.slots)} slots, ` +
          `load ${format('number', member.load)}` +
          (member.state === 'SERVING' ? '' : `, ${String(member.state).toLowerCase()}`));
      },
    });
    if (result.textContent !== '') find();
  };
  return panel('ring', {
    source: 'ring', empty: 'No node serves: nobody owns any slot.',
    isEmpty: (ring) => !ring.members?.length,
    render: (ring) => {
      const now = JSON.stringify(ring);
      if (now !== drawn) draw(ring);
      drawn = now;
    },
  });
}
