// Why a job waits. The service says it in English sentences of a small set of phrases (queue_reasons.py, gpus/status.py),
// which are put into another language here; what is none of them stays as it was said. Jobs that it names can be gone to.
import { html } from "../core/view.js";
import { language } from "../core/i18n.js";
import { jobLink } from "../core/router.js";

const JOB = /\b((?:train|prep)_\d{8}_\d{6}_[0-9a-f]{8}|job_\d{8}_\d{6}_[0-9a-f]{4}|job-[a-z2-7]{8})\b/;
/** In their order: whole sentences, then what stands within them. */
const PHRASES = {
  zh: [
    [/^is held; release it to let it start$/, "已被暂缓；放行后才会开始"], [/^is about to start$/, "即将开始"], [/^failed and is tried again in (.+)$/, "曾失败，$1 后重试"],
    [/^waits for one of its owner's running jobs to end: (\d+) at a time are allowed$/, "等待其所有者的某个任务结束：最多同时运行 $1 个"],
    [/^waits for a node of the cluster that has room for all of it$/, "等待集群中能容纳它的节点"], [/^asks for more than this machine has now: /, "所需超出本机现有资源："],
    [/^asks for more than any node of the cluster has now: /, "所需超出集群中任一节点的现有资源："], [/^waits behind those ahead of it, which what is free is kept for$/, "排在前面的任务之后，空闲资源为它们保留"],
    [/^waits behind (\S+), which what is free is kept for$/, "排在 $1 之后，空闲资源为它保留"], [/^waits for /, "等待 "], [/; and for /g, "；以及 "],
    [/GPU (\d+) is held by /g, "GPU $1 被占用："], [/GPU (\d+) is kept for (\S+), which is ahead of it/g, "GPU $1 为前面的 $2 保留"], [/GPU (\d+) goes to a job ahead of it/g, "GPU $1 将给前面的任务"],
    [/GPU (\d+) is gone/g, "GPU $1 已不存在"], [/GPU (\d+) is drained \(/g, "GPU $1 已停用（"], [/GPU (\d+) is unknown: it fell off the bus/g, "GPU $1 状态未知：已脱离总线"],
    [/GPU (\d+) is unknown: the driver does not answer/g, "GPU $1 状态未知：驱动无响应"], [/GPU (\d+) is unknown: node (\S+) is down, or was not heard of lately/g, "GPU $1 状态未知：节点 $2 已停机或失去联系"],
    [/GPU (\d+) by another job of the cluster/g, "GPU $1 被集群的其他任务占用"], [/GPU (\d+) by job /g, "GPU $1 被任务占用："], [/GPU (\d+) by a process that the driver does not show, /g, "GPU $1 被驱动未显示的进程占用，"],
    [/GPU (\d+) by /g, "GPU $1 被占用："], [/pid (\d+) \(([^)]*)\), not ours, /g, "外部进程 $1（$2），"], [/ and (?=外部进程)/g, "、"], [/\(about (\d+) min left\)/g, "（约剩 $1 分钟）"], [/\(about (\d+) h left\)/g, "（约剩 $1 小时）"],
    [/one of the (\d+) CPU workers?/g, "$1 个 CPU 工作位之一"], [/(\d+) cores?, (\d+) of (\d+) are free/g, "$1 个核心（$3 个中空闲 $2 个）"], [/(\S+ [GM]iB) of memory, (\S+ [GM]iB) of (\S+ [GM]iB) are free/g, "$1 内存（$3 中空闲 $2）"],
    [/a job ahead of it takes it/g, "前面的任务会占用"], [/GPU (\d+) was asked for, and is not there/g, "请求了不存在的 GPU $1"], [/(\d+) GPUs? (?:was|were) asked for, and there (?:is|are) (\d+)/g, "请求 $1 块 GPU，只有 $2 块"],
    [/(\d+) cores? (?:was|were) asked for, and there (?:is|are) (\d+)/g, "请求 $1 个核心，只有 $2 个"], [/(\S+ [GM]iB) of memory were asked for, and there are (\S+ [GM]iB)/g, "请求 $1 内存，只有 $2"],
    [/(\d+) GPUs?(?=: )/g, "$1 块 GPU"], [/(\d+) cores?(?=, )/g, "$1 核"], [/: /g, "："], [/; /g, "；"],
  ],
};

export const translated = (text) => (PHRASES[language.value] ?? []).reduce((said, [phrase, words]) => said.replace(phrase, words), text);

export function Reason({ text }) {
  return translated(text).split(JOB).map((piece, index) => (index % 2 ? html`<a key=${index} href=${jobLink(piece)}>${piece}</a>` : piece));
}
