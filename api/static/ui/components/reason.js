// Why a job waits, as the service says it; the jobs that it names can be gone to.
import { html } from "../core/view.js";
import { jobLink } from "../core/router.js";

const JOB = /\b((?:train|prep)_\d{8}_\d{6}_[0-9a-f]{8}|job_\d{8}_\d{6}_[0-9a-f]{4}|job-[a-z2-7]{8})\b/;

export function Reason({ text }) {
  return text.split(JOB).map((piece, index) => (index % 2 ? html`<a key=${index} href=${jobLink(piece)}>${piece}</a>` : piece));
}
