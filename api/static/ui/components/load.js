// Data of a page, fetched when it is shown and again when asked.
import { useCallback, useEffect, useRef, useState } from "../core/view.js";

/**
 * `fetcher(abortSignal)` runs when one of `inputs` changes and whenever `reload` is called. While it is under way, any
 * number of calls make it run once more after it, so that frequent news cannot starve it. What was shown stays until
 * the next answer is there. → {data, problem, reload}
 */
export function useLoad(fetcher, inputs) {
  const [state, setState] = useState({ data: undefined, problem: null });
  const flight = useRef(null);
  const reload = useCallback(() => {
    if (flight.current?.of === reload) {
      flight.current.again = true;
      return flight.current.done;
    }
    flight.current?.abort.abort();
    const mine = { of: reload, abort: new AbortController(), again: false };
    flight.current = mine;
    const run = async () => {
      do {
        mine.again = false;
        try {
          const data = await fetcher(mine.abort.signal);
          if (flight.current === mine) setState({ data, problem: null });
        } catch (problem) {
          if (problem.name === "AbortError") return;
          if (flight.current === mine) setState((before) => ({ data: before.data, problem }));
        }
      } while (mine.again && flight.current === mine);
      if (flight.current === mine) flight.current = null;
    };
    mine.done = run();
    return mine.done;
  }, inputs);
  useEffect(() => {
    reload();
    return () => {
      flight.current?.abort.abort();
      flight.current = null;
    };
  }, [reload]);
  return { ...state, reload };
}
