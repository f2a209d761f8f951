// What the page asks for, and how often, in milliseconds.

export const SOURCES = {
  overview: { path: '/v1/cluster/overview', every: 1000 },
  alerts: { path: '/v1/cluster/alerts', every: 2000 },
  ring: { path: '/v1/cluster/ring', every: 5000 },
  hotkeys: { path: '/v1/cluster/hotkeys?limit=20', every: 5000 },
  warming: { path: '/v1/cluster/warming', every: 5000 },
  rollouts: { path: '/v1/cluster/rollouts', every: 5000 },
  recommendations: { path: '/v1/cluster/recommendations', every: 10000 },
};

// Asks for everything again and again; one question a source at a time. `ask`: as of api.js.
// `tell(source, answer)` hears every answer. Rests while `resting()` (the page is not seen).
// `later`: setTimeout.
export function poll({ ask, tell, resting, sources = SOURCES, later = setTimeout }) {
  const timers = {};
  const run = async (name) => {
    clearTimeout(timers[name]);
    timers[name] = null;  // Under way.
    try {
      const answer = resting() ? null : await ask(sources[name].path);
      if (answer !== null) tell(name, answer);
    } catch (error) {
      console.error(name, error);  // An answer that cannot be shown is not the last one.
    }
    timers[name] = later(run, sources[name].every, name);
  };
  Object.keys(sources).forEach(run);
  return {
    // Asks now rather than later.
    hurry(names = Object.keys(sources)) {
      names.filter((name) => timers[name] !== null).forEach(run);
    },
  };
}
